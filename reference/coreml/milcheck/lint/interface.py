"""A function's signature against the features that describe it: arrays, images, states."""

from collections.abc import Iterator

from coremltools.proto import FeatureTypes_pb2

from .. import dtypes
from ..package import Package
from ..program import Function, Type
from .versions import MACOS_13, MACOS_15, MACOS_26

_IMAGE = FeatureTypes_pb2.ImageFeatureType
# Channels of each colour space.
CHANNELS = {_IMAGE.GRAYSCALE: 1, _IMAGE.RGB: 3, _IMAGE.BGR: 3, _IMAGE.GRAYSCALE_FLOAT16: 1}

# The first specification version whose arrays may have the type.
ARRAY_SINCE = {"fp16": MACOS_13, "fp32": 0, "int32": 0, "fp64": 0, "int8": MACOS_26}


def lint_interface(package: Package, function: Function) -> Iterator[str]:
    features = package.features(function.name)
    types = function.types()
    sides = {
        "input": (features.input, [value.name for value in function.inputs if not value.type.state]),
        "state": (features.state, [value.name for value in function.inputs if value.type.state]),
        "output": (features.output, function.outputs),
    }
    for side, (described, names) in sides.items():
        if [feature.name for feature in described] != names:
            yield f"description: {side}s {[f.name for f in described]}, the program has {names}"
        for feature in described:
            if feature.name in types:
                found = _feature(package, feature, types[feature.name])
                yield from (f"description: {side} {feature.name}: {finding}" for finding in found)


def _feature(package: Package, feature, type_: Type) -> Iterator[str]:
    version = package.model.specificationVersion
    if feature.type.isOptional:
        yield "is optional, which a program's input cannot be"
    match feature.type.WhichOneof("Type"):
        case "multiArrayType":
            yield from _array(feature.type.multiArrayType, type_, version)
        case "imageType":
            yield from _image(feature.type.imageType, type_, version)
        case "stateType":
            if version < MACOS_15:
                yield f"a state with specificationVersion {version}, below {MACOS_15}"
            yield from _array(feature.type.stateType.arrayType, type_, version)
        case other:
            yield f"is a {other}, which no value of a program is"


def _array(array, type_: Type, version: int) -> Iterator[str]:
    if array.WhichOneof("ShapeFlexibility"):
        yield "has a flexible shape; only fixed ones run on every device"
    dtype = dtypes.FEATURE_CODES.get(array.dataType)
    name = dtype.name if dtype else f"type {array.dataType}"
    if tuple(array.shape) != type_.shape or dtype != type_.dtype:
        yield f"{name} {list(array.shape)}, the program has {type_}"
    if dtype and version < ARRAY_SINCE[name]:
        yield f"{name} with specificationVersion {version}, below {ARRAY_SINCE[name]}"


def _image(image, type_: Type, version: int) -> Iterator[str]:
    if image.WhichOneof("SizeFlexibility"):
        yield "has a flexible size; only fixed ones run on every device"
    if image.colorSpace not in CHANNELS:
        yield f"colour space {image.colorSpace}"
        return
    shape = (1, CHANNELS[image.colorSpace], image.height, image.width)
    if type_.shape != shape or not type_.dtype.is_float:
        yield f"an image of {list(shape)}, the program has {type_}"
    if image.colorSpace == _IMAGE.GRAYSCALE_FLOAT16 and version < MACOS_13:
        yield f"GRAYSCALE_FLOAT16 with specificationVersion {version}, below {MACOS_13}"
