"""Asks coremltools to rebuild the typed program, which infers every type anew.

Its loader refuses unknown operations and parameters, missing required ones, wrong
element types, and declared types that differ from the inferred ones.
"""

from coremltools.converters.mil.frontend.milproto.load import load

from .package import Package

# Where coremltools looks for the file that MIL names.
WEIGHTS_FOLDER = "weights"


def check_types(package: Package) -> list[str]:
    """What coremltools' loader has against the package: nothing or one message."""
    version = package.model.specificationVersion
    folder = package.model_path.parent / WEIGHTS_FOLDER
    try:
        load(package.model, specification_version=version, file_weights_dir=str(folder))
    # The loader raises whatever its parts raise, down to RuntimeError of its C++.
    except Exception as error:
        return [f"coremltools: {type(error).__name__}: {error}"]
    return []
