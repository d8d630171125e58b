"""Writes fixtures/starter: pictures of models/starter in one step by diffusers' networks, with the noise they used.

Run it again whenever the weights of models/starter change."""

import sys
from pathlib import Path

import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import architecture
from pipeline import Starter, bytes_of, pixels
from scene import render

from common import FIXTURES, generator, meta, save_json, save_tensors

MODEL = FIXTURES.parent / "models" / "starter"
FOLDER = FIXTURES / "starter"

CASES: dict[str, dict] = {
    "oil": {"prompt": "oil painting", "strength": 0.8, "width": 256, "height": 256},
    "watercolour": {"prompt": "watercolour with bold ink outlines", "strength": 0.5, "width": 192, "height": 128},
}


def write(name: str, case: dict, starter: Starter, scene: Image.Image, seed: int) -> None:
    width, height = case["width"], case["height"]
    picture = scene.resize((width, height), Image.Resampling.LANCZOS)
    picture.save(FOLDER / case["input"], optimize=True)
    noise = torch.randn(1, architecture.LATENTS, height // 4, width // 4, generator=generator(seed))
    out = starter.paint(pixels(picture), starter.embed([case["prompt"]]), case["strength"], noise)
    save_tensors(FOLDER / f"{name}.safetensors", {"noise": noise, "picture": out}, __file__)
    Image.fromarray(bytes_of(out[0])).save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    starter, scene = Starter(MODEL), render()
    cases = {name: {**case, "input": f"{name}-input.png"} for name, case in CASES.items()}
    for number, (name, case) in enumerate(cases.items()):
        write(name, case, starter, scene, 700 + number)
    save_json(FOLDER / "cases.json", {"meta": meta(__file__), "cases": cases})


if __name__ == "__main__":
    main()
