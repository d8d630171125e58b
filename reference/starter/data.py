"""Training pictures: random crops of photos and of camera frames, as one tensor, and what a camera does to them."""

import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

# Kodak's photos judge the result and are never trained on; neither are these clips.
HELD_OUT_PHOTOS = "kodak"
HELD_OUT_CLIPS = ("walk", "night", "book")
# A crop is a little larger than what is trained on, so that it can move.
MARGIN = 48
FRAME_STEP = 6


def photos(folder: Path) -> list[Path]:
    """Every training photo below a folder, in a fixed order."""
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [path for path in found if HELD_OUT_PHOTOS not in path.parts]


def clips(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.suffix in (".mkv", ".mp4"))
    return [path for path in found if path.stem not in HELD_OUT_CLIPS]


def frames(path: Path, step: int = 1) -> list[np.ndarray]:
    """Every step-th frame of a clip, RGB [height, width, 3]."""
    clip, kept, index = cv2.VideoCapture(str(path)), [], 0
    while True:
        there, frame = clip.read()
        if not there:
            return kept
        if index % step == 0:
            kept.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        index += 1


def crop_bank(data: Path, side: int, per_photo: int, seed: int, workers: int) -> torch.Tensor:
    """[crops, 3, side + MARGIN, side + MARGIN], 8 bits: crops of random place and scale."""
    jobs = [(path, side + MARGIN, per_photo, seed + i) for i, path in enumerate(photos(data / "photos"))]
    jobs += [(path, side + MARGIN, per_photo * 3, seed - 1 - i) for i, path in enumerate(clips(data / "clips"))]
    with ProcessPoolExecutor(workers) as pool:
        crops = [crop for crops in pool.map(_crops, jobs, chunksize=4) for crop in crops]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()


def _crops(job: tuple[Path, int, int, int]) -> list[np.ndarray]:
    path, side, count, seed = job
    rng = random.Random(seed)
    if path.suffix in (".mkv", ".mp4"):
        pictures = [Image.fromarray(frame) for frame in frames(path, FRAME_STEP)]
    else:
        pictures = [Image.open(path).convert("RGB")]
    return [_crop(rng.choice(pictures), side, rng) for _ in range(count)]


def _crop(picture: Image.Image, side: int, rng: random.Random) -> np.ndarray:
    width, height = picture.size
    shorter = min(width, height)
    # From the picture's own pixels to the whole picture, and a little enlargement of small ones.
    size = min(shorter, max(round(0.8 * side), round(shorter * rng.uniform(0.35, 1))))
    left, top = rng.randint(0, width - size), rng.randint(0, height - size)
    box = (left, top, left + size, top + size)
    crop = picture.resize((side, side), Image.LANCZOS, box=box)
    return np.array(crop.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop)


class Camera:
    """Draws batches of crops and shows them as a camera would: exposed, tinted, noisy."""

    def __init__(self, bank: torch.Tensor, side: int, generator: torch.Generator) -> None:
        self.bank, self.side, self.generator = bank, side, generator

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        random = torch.rand(shape, generator=self.generator, device=self.bank.device)
        return low + (high - low) * random

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.bank.device)

    def integers(self, limit: int, *shape: int) -> torch.Tensor:
        return torch.randint(limit, shape, generator=self.generator, device=self.bank.device)

    def draw(self, count: int) -> torch.Tensor:
        """[count, 3, side, side] in 0..1"""
        places = self.integers(MARGIN, 2, count)
        return self.light(self.cut(self.integers(len(self.bank), count), places))

    def pairs(self, count: int) -> torch.Tensor:
        """[2 * count, 3, side, side]: crops, then the same a moment later, moved and re-lit by a little."""
        which, places = self.integers(len(self.bank), count), self.integers(MARGIN - 8, 2, count)
        still = (self.uniform(0, 1, 1, count) < 0.5).long()
        moved = places + (1 - still) * self.integers(8, 2, count)
        first = self.light(torch.cat([self.cut(which, places), self.cut(which, moved)]), pairs=True)
        flicker = 1 + 0.02 * self.normal(count, 1, 1, 1)
        return torch.cat([first[:count], (first[count:] * flicker).clamp(0, 1)])

    def cut(self, which: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        span = torch.arange(self.side, device=self.bank.device)
        rows, columns = places[0, :, None] + span, places[1, :, None] + span
        channels = torch.arange(3, device=self.bank.device)[None, :, None, None]
        picked = self.bank[which[:, None, None, None], channels, rows[:, None, :, None], columns[:, None, None, :]]
        return picked.float() / 255

    def light(self, crops: torch.Tensor, *, pairs: bool = False) -> torch.Tensor:
        """Exposure and white balance; one crop in four is dark."""
        count = len(crops) // 2 if pairs else len(crops)
        dark = (self.uniform(0, 1, count, 1, 1, 1) < 0.25).float()
        gain = torch.exp2(dark * self.uniform(-2.6, -0.5, count, 1, 1, 1) + self.uniform(-0.15, 0.2, count, 1, 1, 1))
        balance = torch.exp2(0.12 * self.normal(count, 3, 1, 1))
        change = gain * balance
        return (crops * (change.repeat(2, 1, 1, 1) if pairs else change)).clamp(0, 1)

    def sense(self, pictures: torch.Tensor) -> torch.Tensor:
        """Sensor noise, up to 5 % of white, coarser in some, and 8 bits."""
        count, _, height, width = pictures.shape
        level = 0.05 * self.uniform(0, 1, count, 1, 1, 1) ** 2.5
        fine = self.normal(*pictures.shape)
        coarse = F.interpolate(self.normal(count, 3, height // 2, width // 2), scale_factor=2, mode="bilinear")
        mix = self.uniform(0, 1, count, 1, 1, 1)
        noise = (1 - mix) * fine + 1.5 * mix * coarse
        noisy = pictures + level * noise * (0.4 + pictures.clamp_min(0).sqrt())
        return (noisy.clamp(0, 1) * 255).round() / 255
