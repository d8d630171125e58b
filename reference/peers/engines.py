"""The one-step frame on each engine, behind one function: image [1, 3, height, width] -> (picture, eps)."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
from frame import Frame

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def ort(onnx: Path, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    return lambda image: tuple(session.run(["picture", "eps"], {"image": image}))


def open_vino(model: Path, threads: int, precision: str) -> Run:
    """`model` is an ONNX file or OpenVINO's own; what is quantised in it stays so in either precision."""
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def run(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        results = compiled({"image": image})
        return results["picture"].copy(), results["eps"].copy()

    return run


def pytorch(frame: Frame, threads: int, precision: str) -> Run:
    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    frame = copy.deepcopy(frame).to(dtype)

    def run(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        picture, eps = frame(torch.from_numpy(image).to(dtype))
        return picture.float().numpy(), eps.float().numpy()

    return run
