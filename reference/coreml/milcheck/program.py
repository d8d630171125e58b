"""A package's protobuf as plain Python: functions, operations, types and values.

Values stay lazy: a weight is decoded when it is asked for, so that a broken one
is reported with the operation it belongs to.
"""

from dataclasses import dataclass, field

import numpy as np
from coremltools.proto import MIL_pb2

from . import dtypes
from .dtypes import DType
from .errors import PackageError


@dataclass(frozen=True)
class Type:
    """Element type and shape; rank 0 is a scalar. `state` marks a state's contents."""

    dtype: DType
    shape: tuple[int, ...]
    state: bool = False

    def __str__(self) -> str:
        text = self.dtype.name
        if self.shape:
            text = f"tensor<{text}, [{', '.join(map(str, self.shape))}]>"
        return f"state<{text}>" if self.state else text


@dataclass(frozen=True)
class Literal:
    """A value written in the operation or in the weight file."""

    type: Type
    proto: MIL_pb2.Value

    @property
    def blob(self):
        """Where in the weight file it is; None for an inline value."""
        is_blob = self.proto.WhichOneof("value") == "blobFileValue"
        return self.proto.blobFileValue if is_blob else None


@dataclass(frozen=True)
class Named:
    """A reference to an input or to an earlier operation's output."""

    name: str


Argument = Literal | Named


@dataclass(frozen=True)
class Output:
    name: str
    type: Type


@dataclass
class Operation:
    """One operation. Arguments are lists: `concat` takes several values by one name."""

    kind: str
    arguments: dict[str, list[Argument]]
    attributes: dict[str, Literal]
    outputs: list[Output]
    has_blocks: bool = False

    @property
    def label(self) -> str:
        """How messages name it: its type and its first output."""
        return f"{self.kind} {self.outputs[0].name}" if self.outputs else self.kind

    @property
    def is_constant(self) -> bool:
        return self.kind == "const" or self.kind.startswith("constexpr_")

    def named(self) -> list[tuple[str, str]]:
        """Every (parameter, name of a value) pair that it reads."""
        pairs = [(key, a) for key, arguments in self.arguments.items() for a in arguments]
        return [(key, argument.name) for key, argument in pairs if isinstance(argument, Named)]


@dataclass
class Function:
    name: str
    opset: str
    inputs: list[Output]
    outputs: list[str]
    operations: list[Operation] = field(default_factory=list)

    def types(self) -> dict[str, Type]:
        """The declared type of every value."""
        found = {value.name: value.type for value in self.inputs}
        for operation in self.operations:
            found.update({value.name: value.type for value in operation.outputs})
        return found


def read_type(proto: MIL_pb2.ValueType) -> Type:
    """A tensor, scalar or state type; PackageError for lists, dictionaries and unknown extents."""
    kind = proto.WhichOneof("type")
    if kind == "stateType":
        inner = read_type(proto.stateType.wrappedType)
        return Type(inner.dtype, inner.shape, state=True)
    if kind != "tensorType":
        raise PackageError(f"a value of {kind or 'no type'}, where a tensor is expected")
    tensor = proto.tensorType
    if tensor.dataType not in dtypes.BY_CODE:
        raise PackageError(f"unknown element type {tensor.dataType}")
    if len(tensor.dimensions) != tensor.rank:
        raise PackageError(f"rank {tensor.rank} with {len(tensor.dimensions)} extents")
    if any(d.WhichOneof("dimension") != "constant" for d in tensor.dimensions):
        raise PackageError("an extent that is not constant")
    shape = tuple(d.constant.size for d in tensor.dimensions)
    return Type(dtypes.BY_CODE[tensor.dataType], shape)


def read_immediate(value: MIL_pb2.Value, type_: Type) -> np.ndarray:
    """An inline value; PackageError unless its storage is the one that its type wants."""
    dtype = type_.dtype
    tensor = value.immediateValue.tensor
    found = tensor.WhichOneof("value")
    if found != dtype.immediate:
        raise PackageError(f"{dtype.name} stored as {found}, which must be {dtype.immediate}")
    try:
        if found == "bytes":
            return dtypes.decode(tensor.bytes.values, dtype, type_.shape)
        values = np.array(list(getattr(tensor, found).values), dtype.storage)
        return values.reshape(type_.shape)
    except ValueError as error:
        raise PackageError(f"inline {type_}: {error}") from error


def read_function(name: str, proto: MIL_pb2.Function) -> Function:
    """A function's block for its own opset; PackageError if it has none."""
    if proto.opset not in proto.block_specializations:
        raise PackageError(f"function {name}: opset {proto.opset!r} has no block")
    block = proto.block_specializations[proto.opset]
    inputs = [Output(i.name, _located(f"input {i.name}", i.type)) for i in proto.inputs]
    operations = [_read_operation(operation) for operation in block.operations]
    return Function(name, proto.opset, inputs, list(block.outputs), operations)


def _read_operation(proto: MIL_pb2.Operation) -> Operation:
    where = f"{proto.type} {proto.outputs[0].name if proto.outputs else ''}"
    return Operation(
        kind=proto.type,
        arguments={k: [_read_binding(where, b) for b in a.arguments] for k, a in proto.inputs.items()},
        attributes={k: Literal(_located(where, v.type), v) for k, v in proto.attributes.items()},
        outputs=[Output(o.name, _located(where, o.type)) for o in proto.outputs],
        has_blocks=bool(proto.blocks),
    )


def _read_binding(where: str, proto) -> Argument:
    match proto.WhichOneof("binding"):
        case "name":
            return Named(proto.name)
        case "value":
            return Literal(_located(where, proto.value.type), proto.value)
        case _:
            raise PackageError(f"{where}: an argument that is neither a name nor a value")


def _located(where: str, proto: MIL_pb2.ValueType) -> Type:
    try:
        return read_type(proto)
    except PackageError as error:
        raise PackageError(f"{where}: {error}") from error
