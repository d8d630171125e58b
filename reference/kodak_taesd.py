"""Round trip of photographs through TAESD: PSNR of PyTorch and of a built laterna, and how far they are apart."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file

from common import save_tensors

LIMIT_DB = 0.02
PICTURES = {".jpg", ".jpeg", ".png"}


def load(path: Path) -> torch.Tensor:
    """[1, 3, height, width] in [-1, 1], cut at the right and below to multiples of 8."""
    pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
    height, width = (side // 8 * 8 for side in pixels.shape[:2])
    return pixels[:height, :width].permute(2, 0, 1)[None].float() / 127.5 - 1


def psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    """In dB, after rounding to 8 bits, over all channels."""
    a, b = ((x.clamp(-1, 1) * 127.5 + 127.5).round().double() for x in (image, reference))
    return 10 * torch.log10(255**2 / (a - b).square().mean()).item()


def evaluate(binary: Path, model: Path, component: str, name: str, value: torch.Tensor, folder: Path) -> torch.Tensor:
    given, written = folder / "inputs.safetensors", folder / "outputs.safetensors"
    save_tensors(given, {name: value}, __file__)
    command = [binary, "eval", "--model", model, "--component", component]
    subprocess.run([*command, "--inputs", given, "--outputs", written], check=True)
    return load_file(written)["image" if name == "latent" else "latent"]


def round_trip(binary: Path, model: Path, image: torch.Tensor, folder: Path) -> torch.Tensor:
    latent = evaluate(binary, model, "vae.encode", "image", image, folder)
    return evaluate(binary, model, "vae.decode", "latent", latent, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("taesd", type=Path, help="folder with config.json and the weights of an AutoencoderTiny")
    parser.add_argument("photos", type=Path, help="folder of pictures")
    parser.add_argument("laterna", type=Path, nargs="?", help="the binary; without it PyTorch alone is measured")
    arguments = parser.parse_args()
    vae = AutoencoderTiny.from_pretrained(arguments.taesd).float().eval()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "vae").symlink_to(arguments.taesd.resolve())
        for path in sorted(p for p in arguments.photos.iterdir() if p.suffix.lower() in PICTURES):
            image = load(path)
            row = [psnr(vae.decode(vae.encode(image).latents).sample, image)]
            if arguments.laterna:
                row.append(psnr(round_trip(arguments.laterna.resolve(), folder, image, folder), image))
            rows.append(row)
            print(path.name, *(f"{value:.4f} dB" for value in row), flush=True)
    means = np.mean(rows, axis=0)
    print("mean", *(f"{value:.4f} dB" for value in means))
    if arguments.laterna:
        print(f"difference {means[1] - means[0]:+.5f} dB")
        sys.exit(bool(abs(means[1] - means[0]) > LIMIT_DB))


if __name__ == "__main__":
    main()
