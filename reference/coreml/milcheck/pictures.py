"""Pictures as a program's image inputs get them.

Core ML turns a pixel buffer into numbers of 0..=255, [1, channels, height, width],
in the colour order that the description names; what a program makes of them
(scale, bias) is operations of its own.
"""

import numpy as np
from coremltools.proto import FeatureTypes_pb2

from .package import Package


def picture_inputs(package: Package, function: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs, with u8 pictures [height, width, 3 in RGB] or [height, width] for image features laid out."""
    prepared = dict(inputs)
    for feature in package.features(function).input:
        picture = prepared.get(feature.name)
        is_image = feature.type.WhichOneof("Type") == "imageType"
        if is_image and picture is not None and picture.dtype == np.uint8 and picture.ndim in (2, 3):
            prepared[feature.name] = _planar(picture, feature.type.imageType.colorSpace)
    return prepared


def _planar(picture: np.ndarray, colour_space: int) -> np.ndarray:
    """[1, channels, height, width] in f32."""
    picture = np.atleast_3d(picture)
    if colour_space == FeatureTypes_pb2.ImageFeatureType.BGR:
        picture = picture[..., ::-1]
    return picture.transpose(2, 0, 1)[None].astype(np.float32)
