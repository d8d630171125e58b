"""Exports the one-step frame of an SDXS checkpoint folder to one ONNX file with its weights beside it."""

import argparse
from pathlib import Path

import torch
from frame import Frame, picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="diffusers folder (see ../make_full_size.py)")
    parser.add_argument("output", type=Path, help="frame.onnx")
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    frame = Frame(arguments.model, arguments.size, arguments.size).eval()
    image = picture(arguments.size, arguments.size)
    torch.onnx.export(
        frame, (image,), arguments.output, input_names=["image"], output_names=["picture", "eps"],
        opset_version=18, dynamo=True, external_data=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
