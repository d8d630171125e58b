"""A function's operations: names, order, parameters, constants, types and values."""

import re
from collections.abc import Iterator

from ..errors import PackageError
from ..package import Package
from ..program import Function, Literal, Operation
from .signatures import Signature, signature
from .versions import MACOS_15, OPSETS

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_@]*")
MAX_RANK = 5
# An inline value is written out as text when the package is compiled, which takes
# minutes for a weight (rustnn). coremltools itself moves ten elements and more.
MAX_INLINE_ELEMENTS = 1024


def lint_function(package: Package, function: Function) -> Iterator[str]:
    version = package.model.specificationVersion
    if function.opset != OPSETS.get(version):
        yield f"opset {function.opset} with specificationVersion {version}"
    if not IDENTIFIER.fullmatch(function.name):
        yield f"function {function.name!r}: no identifier"
    constants = {o.name for operation in function.operations if operation.is_constant for o in operation.outputs}
    yield from _values(function, constants)
    yield from _order(function)
    for operation in function.operations:
        found = [*_operation(operation, version, constants), *_literals(package, operation)]
        yield from (f"{operation.label}: {finding}" for finding in found)


def _values(function: Function, constants: set[str]) -> Iterator[str]:
    """Names and types that no value may have, whatever makes it."""
    made = [*function.inputs, *(o for operation in function.operations for o in operation.outputs)]
    seen = set()
    for value in made:
        if not IDENTIFIER.fullmatch(value.name):
            yield f"value {value.name!r}: no identifier"
        if value.name in seen:
            yield f"value {value.name}: defined twice"
        seen.add(value.name)
        if value.type.dtype.bits == 64:
            yield f"value {value.name}: {value.type}: Core ML has no 64-bit values"
        if len(value.type.shape) > MAX_RANK and value.name not in constants:
            yield f"value {value.name}: {value.type}: rank above {MAX_RANK}"
        if any(extent < 1 for extent in value.type.shape):
            yield f"value {value.name}: {value.type}: an empty extent"


def _order(function: Function) -> Iterator[str]:
    """Values read before they are made, inputs that nothing reads, outputs that nothing makes."""
    inputs = {value.name for value in function.inputs}
    defined, used = set(inputs), set()
    for operation in function.operations:
        for parameter, name in operation.named():
            used.add(name)
            if name not in defined:
                yield f"{operation.label}: {parameter}: {name} is used before it is defined"
        defined.update(output.name for output in operation.outputs)
    for name in sorted(inputs - used):
        yield f"input {name}: no operation reads it, so Core ML does not load the model"
    for name in function.outputs:
        if name not in defined:
            yield f"output {name}: no operation makes it"
        elif name in inputs:
            yield f"output {name}: is an input; an identity must stand between"
    if len(set(function.outputs)) != len(function.outputs):
        yield "outputs: one is named twice"


def _operation(operation: Operation, version: int, constants: set[str]) -> Iterator[str]:
    if not operation.outputs and operation.kind != "write_state":
        yield "no output"
    if operation.has_blocks:
        yield "nested blocks, which nothing here checks or runs"
    name = operation.attributes.get("name")
    if name is None or name.type.dtype.name != "string":
        yield "no attribute `name` of type string"
    if operation.kind == "const":
        yield from _const(operation)
        return
    known = signature(operation.kind, version)
    if known is None:
        yield f"no such operation with specificationVersion {version}"
        return
    yield from _parameters(operation, known, version)
    for parameter, value in operation.named():
        if parameter in known.constant and value not in constants:
            yield f"{parameter}: {value} is computed, and must be constant"


def _const(operation: Operation) -> Iterator[str]:
    if operation.arguments or set(operation.attributes) != {"name", "val"}:
        yield f"attributes {sorted(operation.attributes)} and inputs {sorted(operation.arguments)}, not name and val"
    value = operation.attributes.get("val")
    declared = [output.type for output in operation.outputs]
    if value is not None and declared != [value.type]:
        yield f"holds {value.type}, declares {', '.join(map(str, declared))}"


def _parameters(operation: Operation, known: Signature, version: int) -> Iterator[str]:
    attributes = set(operation.attributes) - {"name"}
    # Up to macOS 14 compressed weights are attributes, since macOS 15 inputs.
    as_attributes = operation.kind.startswith("constexpr_") and version < MACOS_15
    given, misplaced = set(operation.arguments), attributes
    if as_attributes:
        given, misplaced = misplaced, given
    if misplaced:
        kind = "inputs" if as_attributes else "attributes"
        yield f"{', '.join(sorted(misplaced))} must not be {kind}"
    for parameter in sorted(known.required - given):
        yield f"no parameter {parameter}; Core ML wants every one"
    for parameter in sorted(given - known.known):
        yield f"unknown parameter {parameter}"
    if operation.kind == "split" and not given & {"num_splits", "split_sizes"}:
        yield "neither num_splits nor split_sizes"
    for parameter, bound in operation.arguments.items():
        if len(bound) != 1 and parameter != "values":
            yield f"{parameter}: {len(bound)} values"


def _literals(package: Package, operation: Operation) -> Iterator[str]:
    """Values that cannot be decoded, and weights written inline."""
    arguments = {key: argument for key, bound in operation.arguments.items() for argument in bound}
    for key, literal in (arguments | operation.attributes).items():
        if not isinstance(literal, Literal):
            continue
        try:
            value = package.value(literal)
        except PackageError as error:
            yield f"{key}: {error}"
            continue
        if literal.blob is None and value.size > MAX_INLINE_ELEMENTS:
            yield f"{key}: {value.size} elements inline, which belong in the weight file"
