"""How far the built-in model's pictures of photographs in bf16 and int8 are from those in f32, as a record."""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import laterna
import numpy as np
import torch
from agreement import psnr_db
from machine import machine
from photographs import photographs
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "starter"))

from losses import Lpips

PROMPTS = ("oil painting", "watercolour", "pencil sketch")
ROUNDED = ("bf16", "int8")


def pixels(path: Path) -> np.ndarray:
    """[1, 3, height, width] in 0..1."""
    return np.array(Image.open(path).convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255


def distances(lpips: Lpips, found: np.ndarray, expected: np.ndarray) -> dict[str, float | None]:
    with torch.no_grad():
        distance = lpips(torch.from_numpy(found), torch.from_numpy(expected)).item()
    psnr = psnr_db(found, expected)
    return {"psnr_db": psnr and round(psnr, 2), "lpips": round(distance, 6)}


def measure(arguments: argparse.Namespace, lpips: Lpips, folder: Path) -> list[dict]:
    """One row for each photograph and prompt."""
    binary, output, rows = arguments.laterna.resolve(), folder / "picture.png", []

    def painted(photo: Path, prompt: str, precision: str) -> np.ndarray:
        laterna.paint(binary, photo, prompt, arguments.size, precision, output)
        return pixels(output)

    for photo in arguments.photos:
        for prompt in PROMPTS:
            expected = painted(photo, prompt, "f32")
            found = {name: distances(lpips, painted(photo, prompt, name), expected) for name in ROUNDED}
            rows.append({"photo": photo.name, "prompt": prompt, **found})
            print(photo.name, prompt, found, file=sys.stderr)
    return rows


def summary(rows: list[dict], precision: str) -> dict[str, float | None]:
    """Worst and median over the rows, and how many pictures rounding left as they were."""
    lpips = [row[precision]["lpips"] for row in rows]
    psnr = [row[precision]["psnr_db"] for row in rows if row[precision]["psnr_db"] is not None]
    return {
        "worst_psnr_db": min(psnr, default=None),
        "median_psnr_db": statistics.median(psnr) if psnr else None,
        "worst_lpips": max(lpips),
        "median_lpips": statistics.median(lpips),
        "unchanged": len(rows) - len(psnr),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("laterna", type=Path, help="the binary")
    parser.add_argument("photos", type=photographs, help="folder of pictures")
    parser.add_argument("lpips", type=Path, help="weights of LPIPS 0.1 on AlexNet, safetensors (../starter/README.md)")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--record", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(arguments, Lpips(arguments.lpips), Path(folder))
    summaries = {name: summary(rows, name) for name in ROUNDED}
    record = {
        "command": f"accuracy.py laterna PHOTOS LPIPS --size {arguments.size}",
        "what": "pictures of the built-in model in bf16 and int8 against those in f32, in 8 bits a channel",
        # A record is of no machine's folders: the last one's name is that of the set.
        "photographs": arguments.photos[0].resolve().parent.name,
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "laterna": laterna.version(arguments.laterna.resolve()),
        "summary": summaries,
        "pictures": rows,
    }
    if arguments.record:
        arguments.record.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(summaries, indent=1))


if __name__ == "__main__":
    main()
