"""The one-step frame in int8 as OpenVINO runs it: NNCF's post-training quantisation, kept beside the ONNX file."""

import hashlib
import sys
import tempfile
from pathlib import Path

import nncf
import numpy as np
import openvino

# OpenVINO looks for the weights by the name of the model, which is renamed last: one that is there is whole.
MODEL, WEIGHTS = ".xml", ".bin"


def quantised(onnx: Path, images: list[np.ndarray]) -> Path:
    """The frame with static 8-bit activations and weights, calibrated on `images`, each [1, 3, height, width].

    It is made once for the same frame, pictures and versions.
    """
    path = onnx.with_name(f"{onnx.stem}.int8-{digest(onnx, images)}{MODEL}")
    if not path.exists():
        print(f"quantising {onnx.name} on {len(images)} pictures", file=sys.stderr)
        calibration = nncf.Dataset(images, lambda image: {"image": image})
        model = nncf.quantize(openvino.Core().read_model(onnx), calibration, subset_size=len(images))
        save(model, path)
    return path


def digest(onnx: Path, images: list[np.ndarray]) -> str:
    """Of all that decides the quantised model."""
    found = hashlib.blake2b(f"nncf {nncf.__version__}, openvino {openvino.__version__}".encode(), digest_size=8)
    # The exporter puts weights into a file of the same name with an ending.
    for part in sorted(onnx.parent.glob(f"{onnx.name}*")):
        with part.open("rb") as file:
            found.update(hashlib.file_digest(file, "blake2b").digest())
    for image in images:
        found.update(image.tobytes())
    return found.hexdigest()


def save(model: openvino.Model, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / f"frame{MODEL}"
        openvino.save_model(model, made, compress_to_fp16=False)
        made.with_suffix(WEIGHTS).rename(path.with_suffix(WEIGHTS))
        made.rename(path)
