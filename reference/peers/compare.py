"""Times the whole one-step frame on laterna and other engines in alternating rounds and writes a record."""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import engines
import laterna
import nncf
import numpy as np
import onnxruntime
import openvino
import torch
from agreement import distance
from frame import Frame, photograph, picture
from machine import machine
from photographs import photographs
from quantise import quantised

# Pictures that an int8 model is calibrated on.
CALIBRATION = 8


def versions() -> dict[str, str]:
    modules = {"torch": torch, "onnxruntime": onnxruntime, "openvino": openvino, "nncf": nncf}
    return {"python": platform.python_version(), **{name: module.__version__ for name, module in modules.items()}}


def timed(run: engines.Run, image: np.ndarray, frames: int) -> list[float]:
    """Milliseconds of each frame, after one that is thrown away."""
    run(image)
    samples = []
    for _ in range(frames):
        start = time.perf_counter()
        run(image)
        samples.append(1e3 * (time.perf_counter() - start))
    return samples


def calibration(size: int, photos: list[Path]) -> dict[str, np.ndarray]:
    """The picture that is timed, then photographs, or without any other pictures of its kind; by name."""
    if photos:
        others = {path.name: photograph(path, size, size) for path in photos[: CALIBRATION - 1]}
    else:
        others = {f"synthetic, seed {seed}": picture(size, size, seed) for seed in range(4, 3 + CALIBRATION)}
    pictures = {"the picture that is timed": picture(size, size), **others}
    return {name: value.numpy() for name, value in pictures.items()}


def peers(arguments: argparse.Namespace, frame: Frame, pictures: dict[str, np.ndarray]) -> dict[str, engines.Run]:
    """Every other engine that runs the frame in the precision, by the name that the record gives it."""
    threads, precision = arguments.threads, arguments.precision
    if precision == "int8":
        # What is not quantised can be in either precision, and which is faster is up to the machine.
        model = quantised(arguments.onnx, list(pictures.values()))
        return {f"openvino_int8_{rest}": engines.open_vino(model, threads, rest) for rest in ("f32", "bf16")}
    found = {
        "openvino": engines.open_vino(arguments.onnx, threads, precision),
        "pytorch": engines.pytorch(frame, threads, precision),
    }
    if precision == "f32":
        # It has no kernels of bf16 for CPUs.
        found["onnxruntime"] = engines.ort(arguments.onnx, threads)
    return found


def measure(arguments: argparse.Namespace, folder: Path) -> dict:
    size, threads, precision = arguments.size, arguments.threads, arguments.precision
    frame = Frame(arguments.model, size, size).eval()
    image = picture(size, size)
    pictures = calibration(size, arguments.photos) if precision == "int8" else {}
    runs = peers(arguments, frame, pictures)
    expected = engines.pytorch(frame, threads, "f32")(image.numpy())
    agreement = {name: distance(run(image.numpy()), expected) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    benches: list[dict] = []
    if arguments.laterna:
        binary = arguments.laterna.resolve()
        agreement["laterna"] = distance(
            laterna.frame(binary, arguments.model, frame, image, folder, precision), expected
        )
        samples["laterna"] = []
    for number in range(arguments.rounds):
        for name, run in runs.items():
            samples[name] += timed(run, image.numpy(), arguments.frames)
        if arguments.laterna:
            benches.append(laterna.bench(binary, arguments.model, size, arguments.frames, threads, precision))
            samples["laterna"].append(benches[-1]["frame"]["median_ms"])
        print(f"round {number + 1} of {arguments.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    found = {"samples_ms": samples, "agreement_with_pytorch_f32": agreement, "laterna_bench": benches}
    return found | ({"openvino_calibrated_on": list(pictures)} if pictures else {})


def summary(result: dict) -> dict:
    medians = {name: statistics.median(values) for name, values in result["samples_ms"].items()}
    ratios = {name: medians["laterna"] / value for name, value in medians.items()} if "laterna" in medians else {}
    return {"median_ms": medians, "laterna_time_over": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="diffusers folder that the ONNX file was exported from")
    parser.add_argument("onnx", type=Path)
    parser.add_argument("laterna", type=Path, nargs="?", help="the binary; without it only the others are timed")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=3, help="timed frames of each engine in a round")
    parser.add_argument(
        "--precision", choices=("f32", "bf16", "int8"), default="f32", help="of every engine that is timed"
    )
    parser.add_argument(
        "--photos", type=photographs, default=[], help="folder of pictures to calibrate OpenVINO's int8 on as well"
    )
    parser.add_argument("--record", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = measure(arguments, Path(folder))
    head = {"machine": machine(), "load_at_start": load, "versions": versions()}
    settings = {name: getattr(arguments, name) for name in ("size", "threads", "rounds", "frames", "precision")}
    command = " ".join(["compare.py", *(f"--{name} {value}" for name, value in settings.items())])
    record = {"command": command, **head, **summary(result), **result}
    if arguments.record:
        arguments.record.write_text(json.dumps(record, indent=1) + "\n")
    print(
        json.dumps(
            {key: record[key] for key in ("median_ms", "laterna_time_over", "agreement_with_pytorch_f32")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
