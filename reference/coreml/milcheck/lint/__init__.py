"""What coremltools' loader accepts and Core ML does not, or may not.

Each finding is one line, `where: what`. The rules come from coremltools' operation
tables, from its own output, and from what others who write ML programs directly
report of Core ML's parser (Chromium's WebNN backend, rustnn, coremltools#2127).
"""

from ..errors import PackageError
from ..package import Package
from .description import lint_description
from .files import lint_files
from .function import lint_function
from .interface import lint_interface


def lint(package: Package) -> list[str]:
    """Every finding, in the order files, description, functions."""
    findings = [*lint_files(package), *lint_description(package)]
    for name in package.function_names():
        try:
            function = package.function(name)
        except PackageError as error:
            findings.append(str(error))
            continue
        prefix = "" if len(package.function_names()) == 1 else f"{name}: "
        found = [*lint_function(package, function), *lint_interface(package, function)]
        findings += [prefix + finding for finding in found]
    return findings
