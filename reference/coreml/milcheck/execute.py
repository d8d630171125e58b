"""Executes a function of a package operation by operation, in f32.

Every output's shape and element type is compared with what the file declares.
`round_fp16` rounds each fp16 result to fp16, as a device that stores them so.
"""

from collections import Counter

import numpy as np

from .dtypes import DType
from .errors import ExecutionError, PackageError
from .ops import OPS
from .package import Package
from .program import Argument, Function, Literal, Operation, Output, Type


class Executor:
    """Runs one function; states keep their values between runs."""

    def __init__(self, package: Package, function: str, round_fp16: bool = False):
        self.package = package
        self.function: Function = package.function(function)
        self.round_fp16 = round_fp16
        self.states = {
            value.name: np.zeros(value.type.shape, np.float32) for value in self.function.inputs if value.type.state
        }
        self.counts: Counter[str] = Counter()
        self._values: dict[str, np.ndarray] = {}
        self._types: dict[str, Type] = {}
        self._last_use = _last_uses(self.function)

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name, floats in f32; ExecutionError names the operation that failed."""
        self.counts.clear()
        self._values, self._types = {}, {}
        # Infinities and NaN are results like others; the caller looks at them.
        with np.errstate(all="ignore"):
            for value in self.function.inputs:
                self._types[value.name] = value.type
                if not value.type.state:
                    self._values[value.name] = self._input(value, inputs)
            for index, operation in enumerate(self.function.operations):
                self._step(operation)
                self._forget(index, operation)
        return {name: self._lookup(name) for name in self.function.outputs}

    def _forget(self, index: int, operation: Operation) -> None:
        """Drops what no later operation reads: a large model's values do not fit memory together."""
        for name in {name for _, name in operation.named()}:
            if self._last_use.get(name) == index:
                self._values.pop(name, None)

    def _input(self, value: Output, inputs: dict[str, np.ndarray]) -> np.ndarray:
        if value.name not in inputs:
            raise ExecutionError(f"input {value.name}: not given")
        array = np.asarray(inputs[value.name])
        if array.shape != value.type.shape:
            raise ExecutionError(f"input {value.name}: {list(array.shape)} given, {value.type} declared")
        return self._stored(array, value.type.dtype)

    def _step(self, operation: Operation) -> None:
        self.counts[operation.kind] += 1
        try:
            self._execute(operation)
        except (ExecutionError, PackageError, ValueError, IndexError, KeyError, TypeError) as error:
            raise ExecutionError(f"{operation.label}: {error}") from error

    def _execute(self, operation: Operation) -> None:
        match operation.kind:
            case "const":
                literal = operation.attributes["val"]
                self._store(operation, [self._literal(literal)], [literal.type.dtype])
            case "read_state":
                name = operation.named()[0][1]
                self._store(operation, [self.states[name]], [self._types[name].dtype])
            case "write_state":
                self._write_state(operation)
            case kind if kind in OPS:
                self._compute(operation)
            case _:
                raise ExecutionError("this operation is not known here")

    def _compute(self, operation: Operation) -> None:
        rule = OPS[operation.kind]
        values, dtypes = self._parameters(operation)
        results = rule.run(values)
        self._store(operation, results, rule.dtypes(values, dtypes, len(results)))

    def _write_state(self, operation: Operation) -> None:
        names = dict(operation.named())
        target = names["input"]
        data = self._lookup(names["data"])
        if data.shape != self._types[target].shape:
            raise ExecutionError(f"{list(data.shape)} written into {self._types[target]}")
        self.states[target] = data

    def _parameters(self, operation: Operation) -> tuple[dict, dict[str, DType]]:
        """Values and element types by parameter; attributes count as parameters of constexpr."""
        arguments = dict(operation.arguments)
        if operation.is_constant:
            arguments |= {key: [value] for key, value in operation.attributes.items() if key != "name"}
        values, dtypes = {}, {}
        for key, bound in arguments.items():
            pairs = [self._argument(argument) for argument in bound]
            dtypes[key] = pairs[0][1]
            # MIL's only variadic parameter.
            values[key] = [value for value, _ in pairs] if key == "values" else pairs[0][0]
        return values, dtypes

    def _argument(self, argument: Argument) -> tuple[np.ndarray, DType]:
        if isinstance(argument, Literal):
            return self._literal(argument), argument.type.dtype
        return self._lookup(argument.name), self._types[argument.name].dtype

    def _literal(self, literal: Literal) -> np.ndarray:
        return self._stored(self.package.value(literal), literal.type.dtype)

    def _lookup(self, name: str) -> np.ndarray:
        if name not in self._values:
            raise ExecutionError(f"{name} is used before it is defined")
        return self._values[name]

    def _store(self, operation: Operation, results, dtypes: list[DType]) -> None:
        if len(results) != len(operation.outputs):
            raise ExecutionError(f"gives {len(results)} outputs, declares {len(operation.outputs)}")
        for output, result, dtype in zip(operation.outputs, results, dtypes, strict=True):
            given = Type(dtype, np.shape(result))
            if given != output.type:
                raise ExecutionError(f"gives {given}, declares {output.type}")
            self._types[output.name] = output.type
            self._values[output.name] = self._stored(np.asarray(result), dtype)

    def _stored(self, array: np.ndarray, dtype: DType) -> np.ndarray:
        """Floats in f32, through fp16 where that is asked; the rest in its own type."""
        if not dtype.is_float:
            return array.astype(dtype.storage, copy=False)
        if self.round_fp16 and dtype.name == "fp16":
            # What is beyond fp16 becomes infinite, as it would on the device.
            array = array.astype(np.float16)
        return array.astype(np.float32, copy=False)


def _last_uses(function: Function) -> dict[str, int]:
    """The index of the last operation that reads each value; outputs have none."""
    uses = {}
    for index, operation in enumerate(function.operations):
        uses.update({name: index for _, name in operation.named()})
    return {name: index for name, index in uses.items() if name not in function.outputs}
