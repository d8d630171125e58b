"""The package's files: manifest entries and the records of the weight files."""

import uuid
from collections.abc import Iterator
from pathlib import PurePosixPath

from ..errors import PackageError
from ..package import Package
from ..program import Literal

ITEM_KEYS = ("author", "description", "name", "path")
FORMAT_VERSION = "1.0.0"


def lint_files(package: Package) -> list[str]:
    return [*_manifest(package), *_weights(package)]


def _manifest(package: Package) -> Iterator[str]:
    version = package.manifest.get("fileFormatVersion")
    if version != FORMAT_VERSION:
        yield f"Manifest.json: fileFormatVersion {version!r}, not {FORMAT_VERSION!r}"
    entries = package.manifest["itemInfoEntries"]
    for identifier, item in entries.items():
        yield from _item(package, identifier, item)
    listed = [PurePosixPath(str(item.get("path", ""))) for item in entries.values()]
    for path in sorted((package.path / "Data").rglob("*")):
        relative = PurePosixPath(path.relative_to(package.path / "Data").as_posix())
        if path.is_file() and not any(relative.is_relative_to(item) for item in listed):
            yield f"Manifest.json: no item holds {relative}"


def _item(package: Package, identifier: str, item: dict) -> Iterator[str]:
    try:
        uuid.UUID(identifier)
    except ValueError:
        yield f"Manifest.json: item {identifier!r} is no UUID"
    missing = [key for key in ITEM_KEYS if not isinstance(item.get(key), str)]
    if missing:
        yield f"Manifest.json: item {identifier} lacks {', '.join(missing)}"
    path = PurePosixPath(str(item.get("path", "")))
    if path.is_absolute() or ".." in path.parts:
        yield f"Manifest.json: {path} leaves the package"
    elif not (package.path / "Data" / path).exists():
        yield f"Manifest.json: {path} does not exist"


def _weights(package: Package) -> Iterator[str]:
    """Records that are broken, and records that nothing reads."""
    used: dict[str, set[int]] = {}
    for literal in _blobs(package):
        used.setdefault(literal.blob.fileName, set()).add(literal.blob.offset)
    for name, offsets in used.items():
        try:
            records = package.weights(name).records()
        except PackageError as error:
            yield str(error)
            continue
        for record in records:
            if record.offset not in offsets:
                yield f"{name}: nothing reads the record at {record.offset}"


def _blobs(package: Package) -> Iterator[Literal]:
    for name in package.function_names():
        try:
            operations = package.function(name).operations
        except PackageError:
            # The function's own check reports it.
            continue
        for operation in operations:
            literals = [argument for bound in operation.arguments.values() for argument in bound]
            for literal in (*literals, *operation.attributes.values()):
                if isinstance(literal, Literal) and literal.blob is not None:
                    yield literal
