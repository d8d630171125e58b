"""A program as text, in the manner of MIL's own."""

from collections.abc import Iterator

import numpy as np

from .errors import PackageError
from .package import Package
from .program import Argument, Literal, Operation

# Longer values are shown by their first elements.
SHOWN_ELEMENTS = 12


def program_text(package: Package) -> str:
    """Every function, an operation a line; weights by their offset and first elements."""
    lines = [f"specification {package.model.specificationVersion}"]
    for name in package.function_names():
        lines += _function_lines(package, name)
    return "\n".join(lines) + "\n"


def _function_lines(package: Package, name: str) -> Iterator[str]:
    function = package.function(name)
    inputs = ", ".join(f"{value.type} {value.name}" for value in function.inputs)
    yield f"\nfunc {name}<{function.opset}>({inputs}) {{"
    for operation in function.operations:
        yield "    " + _operation_text(package, operation)
    yield f"}} -> ({', '.join(function.outputs)})"


def _operation_text(package: Package, operation: Operation) -> str:
    outputs = ", ".join(f"{output.type} {output.name}" for output in operation.outputs)
    arguments = ", ".join(f"{key}={_bound_text(package, bound)}" for key, bound in sorted(operation.arguments.items()))
    attributes = ", ".join(
        f"{key}={_literal_text(package, literal)}"
        for key, literal in sorted(operation.attributes.items())
        # Nearly always the output's name again.
        if key != "name"
    )
    result = f"{outputs} = " if outputs else ""
    return f"{result}{operation.kind}({arguments})" + (f"[{attributes}]" if attributes else "") + ";"


def _bound_text(package: Package, bound: list[Argument]) -> str:
    texts = [_literal_text(package, a) if isinstance(a, Literal) else a.name for a in bound]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def _literal_text(package: Package, literal: Literal) -> str:
    try:
        value = _value_text(package.value(literal))
    except PackageError as error:
        value = f"<{error}>"
    if literal.blob is None:
        return value
    return f"{literal.type}(BLOBFILE({literal.blob.offset}) {value})"


def _value_text(value: np.ndarray) -> str:
    if value.dtype == np.object_:
        return ", ".join(f'"{text}"' for text in value.reshape(-1))
    pattern = "{:.6g}" if value.dtype.kind == "f" else "{}"
    shown = [pattern.format(element) for element in value.reshape(-1)[:SHOWN_ELEMENTS]]
    if value.size > SHOWN_ELEMENTS:
        shown.append("…")
    return shown[0] if value.ndim == 0 else f"[{', '.join(shown)}]"
