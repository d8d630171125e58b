"""Opens an .mlpackage: the manifest, the model's protobuf and its weight files."""

import json
from pathlib import Path

import numpy as np
from coremltools.proto import Model_pb2
from google.protobuf.message import DecodeError

from .blob import WeightFile
from .errors import PackageError
from .program import Function, Literal, read_function, read_immediate

# The prefix by which MIL names the package's folder of data.
MODEL_PATH = "@model_path/"


class Package:
    """A package whose manifest and protobuf could be read."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.manifest = _read_json(self.path / "Manifest.json")
        self.model_path = self._root_model()
        self.model = _read_model(self.model_path)
        self._weights: dict[str, WeightFile] = {}
        self._functions: dict[str, Function] = {}

    def _root_model(self) -> Path:
        entries = self.manifest.get("itemInfoEntries")
        root = self.manifest.get("rootModelIdentifier")
        if not isinstance(entries, dict) or not all(isinstance(item, dict) for item in entries.values()):
            raise PackageError("Manifest.json: itemInfoEntries is no object of objects")
        if not isinstance(root, str) or root not in entries:
            raise PackageError(f"Manifest.json: no item {root!r}, which it names as the model")
        return self.path / "Data" / str(entries[root].get("path"))

    def function_names(self) -> list[str]:
        return sorted(self.model.mlProgram.functions)

    def function(self, name: str) -> Function:
        """A function by name; PackageError if there is none or it cannot be read."""
        if name not in self._functions:
            if name not in self.model.mlProgram.functions:
                raise PackageError(f"no function {name}: there are {', '.join(self.function_names()) or 'none'}")
            self._functions[name] = read_function(name, self.model.mlProgram.functions[name])
        return self._functions[name]

    def default_function(self) -> str:
        return self.model.description.defaultFunctionName or "main"

    def features(self, function: str):
        """The message that describes a function's inputs, outputs and states."""
        description = self.model.description
        return next((f for f in description.functions if f.name == function), description)

    def value(self, literal: Literal) -> np.ndarray:
        """A literal's elements in their own type; sub-byte types as whole bytes."""
        blob = literal.blob
        if blob is None:
            return read_immediate(literal.proto, literal.type)
        return self.weights(blob.fileName).array(blob.offset, literal.type.dtype, literal.type.shape)

    def weights(self, file_name: str) -> WeightFile:
        """The weight file that MIL calls `file_name`."""
        if file_name not in self._weights:
            if not file_name.startswith(MODEL_PATH):
                raise PackageError(f"weight file {file_name!r}: must start with {MODEL_PATH}")
            path = self.model_path.parent / file_name.removeprefix(MODEL_PATH)
            self._weights[file_name] = WeightFile(path)
        return self._weights[file_name]


def _read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PackageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise PackageError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise PackageError(f"{path}: no JSON object")
    return value


def _read_model(path: Path) -> Model_pb2.Model:
    model = Model_pb2.Model()
    try:
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise PackageError(f"{path}: {error.strerror}") from error
    except DecodeError as error:
        raise PackageError(f"{path}: no Model message ({error})") from error
    if model.WhichOneof("Type") != "mlProgram":
        raise PackageError(f"{path}: no ML program, but {model.WhichOneof('Type')}")
    return model
