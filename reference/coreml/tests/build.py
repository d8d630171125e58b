"""Small packages, written by coremltools' own builder; mutated copies of them."""

import functools
import shutil
import tempfile
from pathlib import Path

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from milcheck.package import Package

MACOS_14 = ct.target.macOS14
MACOS_15 = ct.target.macOS15

# Everything made here, removed at exit.
_FOLDER = tempfile.TemporaryDirectory(prefix="milcheck-")


def folder() -> str:
    """Where packages are made."""
    return _FOLDER.name


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def write(function, inputs: dict[str, tuple], target, **options) -> Path:
    """The package of a program in fp16 throughout.

    `function` takes the inputs by name and gives the output; `inputs` their shapes.
    """
    specs = [mb.TensorSpec(shape, types.fp16) for shape in inputs.values()]
    names = list(inputs)
    # The builder names a program's inputs by the function's parameters.
    parameters = ", ".join(names)
    arguments = ", ".join(f"{name}={name}" for name in names)
    scope = {"function": function}
    exec(f"def program({parameters}):\n    return function({arguments})", scope)
    program = mb.program(input_specs=specs, opset_version=target)(scope["program"])
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT16,
        # Compressed weights would be folded to dense ones.
        pass_pipeline=ct.PassPipeline.EMPTY,
        **options,
    )
    path = Path(tempfile.mkdtemp(dir=_FOLDER.name)) / "model.mlpackage"
    model.save(str(path))
    return path


def half(*shape: int) -> np.ndarray:
    return rng().normal(size=shape).astype(np.float16)


def _network(x, t):
    """Convolution, linear layer, attention, normalisation, splitting and joining."""
    y = mb.conv(x=x, weight=half(16, 8, 3, 3), bias=half(16), pad_type="custom", pad=[1, 1, 1, 1])
    e = mb.linear(x=t, weight=half(16, 8), bias=half(16))
    y = mb.silu(x=mb.add(x=y, y=mb.reshape(x=e, shape=[1, 16, 1, 1])))
    q = mb.transpose(x=mb.reshape(x=y, shape=[1, 16, 36]), perm=[0, 2, 1])
    q = mb.layer_norm(x=q, axes=[-1], gamma=half(16), beta=half(16), epsilon=np.float16(1e-3))
    scores = mb.softmax(x=mb.matmul(x=q, y=q, transpose_y=True), axis=-1)
    a = mb.matmul(x=scores, y=q)
    low, high = mb.split(x=a, num_splits=2, axis=-1)
    table = mb.gather(x=half(10, 8), indices=np.arange(36, dtype=np.int32) % 10, axis=0)
    return mb.concat(values=[mb.add(x=low, y=table), mb.gelu(x=high, mode="EXACT")], axis=-1, name="result")


@functools.cache
def network(target=MACOS_14) -> Path:
    """The package that most tests look at; not to be changed."""
    return write(_network, {"x": (1, 8, 6, 6), "t": (1, 8)}, target)


@functools.cache
def compressed(target) -> Path:
    """One operation with a palettised weight."""

    def program(x):
        if target == MACOS_14:
            packed = rng().integers(0, 256, 32, dtype=np.uint8)
            weight = mb.constexpr_lut_to_dense(indices=packed, lut=half(16), shape=np.uint32([8, 8]))
        else:
            nibbles = rng().integers(0, 16, (8, 8)).astype(types.nptype_from_builtin(types.uint4))
            weight = mb.constexpr_lut_to_dense(indices=nibbles, lut=half(1, 1, 16, 1))
        return mb.linear(x=x, weight=weight, bias=half(8), name="result")

    return write(program, {"x": (1, 8)}, target)


def mutated(path: Path, change) -> Path:
    """A copy of a package whose model message `change` has edited in place."""
    copy = copied(path)
    package = Package(copy)
    change(package.model)
    package.model_path.write_bytes(package.model.SerializeToString())
    return copy


def copied(path: Path) -> Path:
    copy = Path(tempfile.mkdtemp(dir=_FOLDER.name)) / path.name
    shutil.copytree(path, copy)
    return copy
