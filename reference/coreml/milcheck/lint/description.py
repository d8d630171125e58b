"""The model's description as a whole: versions, functions, which place names the features."""

from collections.abc import Iterator

from ..package import Package
from .versions import MACOS_15, OPSETS


def lint_description(package: Package) -> Iterator[str]:
    model = package.model
    if model.specificationVersion not in OPSETS:
        yield f"specificationVersion {model.specificationVersion}: no ML program has it"
    if model.mlProgram.version != 1:
        yield f"mlProgram: version {model.mlProgram.version}, not 1"
    if not package.function_names():
        yield "mlProgram: no function"
    if model.description.functions:
        yield from _several(package)
    else:
        yield from _single(package)


def _single(package: Package) -> Iterator[str]:
    """Without `functions` the model's own features describe its only function, `main`."""
    names = package.function_names()
    if names != ["main"]:
        yield f"description: names no functions, so there must be main alone, not {', '.join(names)}"
    if package.model.description.defaultFunctionName not in ("", "main"):
        yield "description: defaultFunctionName without functions"


def _several(package: Package) -> Iterator[str]:
    description = package.model.description
    described = [function.name for function in description.functions]
    if package.model.specificationVersion < MACOS_15:
        yield f"description: functions with specificationVersion {package.model.specificationVersion}, below {MACOS_15}"
    if len(described) == 1:
        yield "description: a model of one function names its features itself, not by functions"
    if description.input or description.output or description.state:
        yield "description: features both in functions and outside"
    if sorted(described) != package.function_names():
        yield f"description: functions {sorted(described)}, the program has {package.function_names()}"
    if description.defaultFunctionName not in described:
        yield f"description: defaultFunctionName {description.defaultFunctionName!r} is none of its functions"
