"""Measures a starter model on photos and clips that it was not trained on, and writes a record and contact sheets."""

import argparse
import json
import platform
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import data
import diffusers
import numpy as np
import prompts
import torch
import torch.nn.functional as F
from architecture import LATENTS
from losses import Lpips
from painter import paint
from paraphrases import HELD_OUT
from PIL import Image
from pipeline import Starter, bytes_of, pixels
from styles import parameters

STRENGTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
# The strength of every figure that does not name another.
FULL = 1.0
PAIRS = 8  # of consecutive frames, of each clip
PHOTOS_A_PROMPT = 4


class Judge:
    """A model, the held-out photos, and the yardstick."""

    def __init__(self, model: Path, folder: Path, side: int) -> None:
        self.model, self.side = Starter(model), side
        self.lpips = Lpips(folder / "lpips/lpips_alexnet_v0.1.safetensors")
        self.photos = torch.cat([square(Image.open(path), side) for path in kodak(folder)])
        self.folder = folder

    def noise(self, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(1, LATENTS, self.side // 4, self.side // 4, generator=generator)

    def model_paints(self, pictures: torch.Tensor, prompt: str, strength: float = FULL, seed: int = 0) -> torch.Tensor:
        text, noise = self.model.embed([prompt]), self.noise(seed)
        return torch.cat([self.model.paint(some, text, strength, noise) for some in pictures.split(4)])

    def teacher_paints(self, pictures: torch.Tensor, style: int, strength: float = FULL) -> torch.Tensor:
        recipe = torch.zeros(len(pictures), prompts.RECIPE)
        recipe[:, style] = 1
        wanted = parameters(recipe, torch.full((len(pictures),), strength))
        return paint(pictures, self.noise().expand(len(pictures), -1, -1, -1), wanted)

    def distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([self.lpips(x, y) for x, y in zip(a.split(8), b.split(8), strict=True)])


def autoencoder(folder: Path, judge: Judge) -> dict:
    """Round trip of the photos' middle 512x512 pixels, through 8 bits."""
    decibels, distances = [], []
    for path in kodak(folder):
        photo = middle(Image.open(path), 512)
        back = (judge.model.decode(judge.model.encode(photo)) * 255).round() / 255
        decibels.append(psnr(photo, back))
        distances.append(float(judge.distance(photo, back)))
    return {"psnr_db": mean(decibels), "lpips": mean(distances), "worst_psnr_db": min(decibels)}


def styles(judge: Judge) -> dict:
    """LPIPS between the model's and the teacher's picture, by style."""
    found = {}
    for index, style in enumerate(prompts.STYLES):
        made = judge.model_paints(judge.photos, prompts.CANONICAL[style][0])
        found[style] = mean(judge.distance(made, judge.teacher_paints(judge.photos, index)).tolist())
    return found


def named(judge: Judge) -> dict:
    """How often the style whose teacher's picture is nearest by LPIPS is the one that the prompt asks for."""
    taught = torch.stack([judge.teacher_paints(judge.photos, index) for index in range(len(prompts.STYLES))])
    result = {}
    for name, groups in (("canonical", prompts.CANONICAL), ("paraphrases", HELD_OUT)):
        right, count, wrong = 0, 0, {}
        for index, style in enumerate(prompts.STYLES):
            for turn, prompt in enumerate(groups[style]):
                which = [(7 * turn + 5 * i + index) % len(judge.photos) for i in range(PHOTOS_A_PROMPT)]
                made = judge.model_paints(judge.photos[which], prompt)
                gaps = torch.stack([judge.distance(made, taught[i, which]) for i in range(len(prompts.STYLES))])
                answers = gaps.argmin(0)
                count += len(which)
                right += int((answers == index).sum())
                for answer in answers[answers != index].tolist():
                    key = f"{prompt} -> {prompts.STYLES[answer]}"
                    wrong[key] = wrong.get(key, 0) + 1
        result[name] = {"right": right / count, "pictures": count, "wrong": wrong}
    return result


def strengths(judge: Judge) -> dict:
    """LPIPS to the input at each strength, by style."""
    photos = judge.photos[::3]
    found = {}
    for style in prompts.STYLES:
        made = [judge.model_paints(photos, prompts.CANONICAL[style][0], strength) for strength in STRENGTHS]
        found[style] = [mean(judge.distance(picture, photos).tolist()) for picture in made]
    return found


def seeds(judge: Judge) -> dict:
    """LPIPS between the pictures of two seeds, by style."""
    photos, found = judge.photos[::6], {}
    for style in prompts.STYLES:
        pair = [judge.model_paints(photos, prompts.CANONICAL[style][0], seed=seed) for seed in (0, 1)]
        found[style] = mean(judge.distance(*pair).tolist())
    return found


def flicker(judge: Judge, strength: float = 0.5) -> dict:
    """What remains of the change between frames when the input's motion is taken out, over the same of the input."""
    ratios: dict[str, list[float]] = {style: [] for style in prompts.STYLES}
    for path in sorted((judge.folder / "clips").iterdir()):
        if path.suffix not in (".mkv", ".mp4"):
            continue
        frames = torch.cat([square(Image.fromarray(f), judge.side) for f in data.frames(path)[10 : 11 + PAIRS]])
        flows = [motion(a, b) for a, b in pairwise(frames)]
        before = warp_error(frames, flows)
        for style in prompts.STYLES:
            made = judge.model_paints(frames, prompts.CANONICAL[style][0], strength)
            ratios[style].append(warp_error(made, flows) / before)
    return {style: mean(values) for style, values in ratios.items()}


def motion(a: torch.Tensor, b: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
    """Where each pixel of b was in a [height, width, 2], and where that can be believed [height, width]."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [(cv2.cvtColor(bytes_of(x), cv2.COLOR_RGB2GRAY)) for x in (a, b)]
    back, forth = dis.calc(grey[1], grey[0], None), dis.calc(grey[0], grey[1], None)
    returned = back + remap(forth, back)
    return back, torch.from_numpy((returned**2).sum(2) < 1)


def warp_error(frames: torch.Tensor, flows: list) -> float:
    errors = []
    for (a, b), (flow, certain) in zip(pairwise(frames), flows, strict=True):
        moved = torch.from_numpy(remap(a.permute(1, 2, 0).numpy(), flow))
        errors.append(float((moved - b.permute(1, 2, 0)).abs().mean(2)[certain].mean()))
    return mean(errors)


def remap(field: np.ndarray, flow: np.ndarray) -> np.ndarray:
    height, width = flow.shape[:2]
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(field, xs + flow[..., 0], ys + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def sheets(judge: Judge, output: Path) -> None:
    """Contact sheets: photos down, styles across, the teacher's row below the model's."""
    for first in (3, 14, 22):
        photo = judge.photos[first : first + 1]
        made = [photo, *(judge.model_paints(photo, prompts.CANONICAL[style][0]) for style in prompts.STYLES)]
        taught = [photo, *(judge.teacher_paints(photo, index) for index in range(len(prompts.STYLES)))]
        rows = [torch.cat(row, 3) for half in (slice(0, 6), slice(6, 11)) for row in (made[half], taught[half])]
        width = rows[0].shape[3]
        whole = torch.cat([F.pad(row, (0, width - row.shape[3])) for row in rows], 2)
        Image.fromarray(bytes_of(whole[0])).save(output / f"sheet-{first}.png")


def kodak(folder: Path) -> Iterator[Path]:
    return iter(sorted((folder / "photos/kodak").iterdir()))


def square(picture: Image.Image, side: int) -> torch.Tensor:
    """The middle, scaled to [1, 3, side, side]."""
    shorter = min(picture.size)
    return middle(picture, shorter, side)


def middle(picture: Image.Image, size: int, side: int | None = None) -> torch.Tensor:
    left, top = ((length - size) // 2 for length in picture.size)
    side = side or size
    box = (left, top, left + size, top + size)
    return pixels(picture.convert("RGB").resize((side, side), Image.LANCZOS, box=box))


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * ((a - b) ** 2).mean().log10())


def mean(values: list[float]) -> float:
    return float(np.mean(values))


PARTS = {"styles": styles, "named": named, "strengths": strengths, "seeds": seeds, "flicker": flicker}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="folder with photos/kodak, clips/ and lpips/")
    parser.add_argument("--record", type=Path, help="JSON file to write")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--only", choices=["autoencoder", *PARTS], nargs="*")
    args = parser.parse_args()
    judge = Judge(args.model, args.data, args.side)
    wanted = args.only if args.only is not None else ["autoencoder", *PARTS]
    found: dict = {"side": args.side}
    for part in wanted:
        found[part] = autoencoder(args.data, judge) if part == "autoencoder" else PARTS[part](judge)
        print(part, json.dumps(found[part], indent=1), flush=True)
    if args.sheets:
        args.sheets.mkdir(parents=True, exist_ok=True)
        sheets(judge, args.sheets)
    if args.record:
        made_with = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
        }
        args.record.write_text(json.dumps({"made_with": made_with, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
