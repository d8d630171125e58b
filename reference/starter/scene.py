"""Renders the picture that docs/ shows styles on: a lighthouse over a bay in the evening, all of it computed here."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, OVER = 512, 2


def noise(x: np.ndarray, y: np.ndarray, seed: int, octaves: int = 5) -> np.ndarray:
    """Value noise in -1..1, octaves of half the size and half the height."""
    grid = np.random.default_rng(seed).uniform(-1, 1, (64, 64))
    total, height = np.zeros_like(x), 1.0
    for octave in range(octaves):
        u, v = x * 2**octave + 7.3 * octave, y * 2**octave + 3.1 * octave
        i, j = np.floor(u).astype(int), np.floor(v).astype(int)
        s, t = (part * part * (3 - 2 * part) for part in (u - i, v - j))
        corner = [[grid[(j + b) % 64, (i + a) % 64] for a in (0, 1)] for b in (0, 1)]
        top = corner[0][0] * (1 - s) + corner[0][1] * s
        total += height * (top * (1 - t) + (corner[1][0] * (1 - s) + corner[1][1] * s) * t)
        height /= 2
    return total / 1.94


def over(below: np.ndarray, colour, mask: np.ndarray) -> np.ndarray:
    mask = np.clip(mask, 0, 1)[..., None]
    return below * (1 - mask) + np.asarray(colour) * mask


def soft(distance: np.ndarray, width: float = 0.0015) -> np.ndarray:
    """1 inside a shape (negative distance), 0 outside."""
    return np.clip(0.5 - distance / width, 0, 1)


def blend(a, b, t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)[..., None]
    return np.asarray(a) * (1 - t) + np.asarray(b) * t


def sky(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    colour = blend((0.16, 0.27, 0.55), (0.98, 0.68, 0.42), (y / 0.55) ** 1.3)
    sun = np.hypot(x - 0.30, y - 0.42)
    colour = colour + np.exp(-((sun / 0.16) ** 2))[..., None] * np.array([0.35, 0.22, 0.05])
    clouds = noise(x * 3, y * 9, 1) + 0.25 * noise(x * 14, y * 30, 2, 3)
    colour = over(colour, (1.0, 0.85, 0.74), np.clip(clouds * 1.6 - 0.1, 0, 0.8) * np.clip(1.2 - 1.6 * y, 0, 1))
    colour = over(colour, (0.52, 0.42, 0.56), np.clip(-clouds - 0.35, 0, 0.5))
    return over(colour, (1.0, 0.94, 0.72), soft(sun - 0.045))


def hills(colour: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    for depth, (base, height, seed, tint) in enumerate(
        [
            (0.50, 0.10, 3, (0.52, 0.47, 0.60)),
            (0.545, 0.075, 4, (0.33, 0.37, 0.46)),
            (0.575, 0.05, 5, (0.20, 0.29, 0.28)),
        ]
    ):
        ridge = base - height * (0.5 + noise(x * (3 + 2 * depth), 0 * x + depth, seed))
        light = 0.10 * noise(x * 25, y * 40, seed + 10, 4)[..., None]
        colour = over(colour, np.asarray(tint) + light, soft(ridge - y))
    return colour


def water(x: np.ndarray, y: np.ndarray, shore: float) -> np.ndarray:
    depth = np.clip((y - shore) / (1 - shore), 0, 1)
    waves = noise(x * (9 - 5 * depth), 60 * np.sqrt(depth + 0.01) + 2 * x, 6)
    mirrored = np.clip(2 * shore - y + 0.05 * waves * (0.3 + depth), 0, 1)
    colour = hills(sky(x + 0.02 * waves, mirrored), x + 0.02 * waves, mirrored)
    colour = blend(colour * 0.82, (0.06, 0.20, 0.30), 0.15 + 0.65 * depth)
    glitter = np.exp(-(((x - 0.30 + 0.03 * waves) / (0.03 + 0.09 * depth)) ** 2)) * np.clip(waves * 3, 0, 1)
    return over(colour, (1.0, 0.86, 0.58), 0.75 * glitter)


def lighthouse(colour: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    rock = 0.60 - 0.13 * np.exp(-(((x - 0.80) / 0.17) ** 4)) + 0.035 * noise(x * 9, 0 * x, 7) + 0.02
    stone = np.array([0.30, 0.25, 0.22]) + 0.16 * noise(x * 22, y * 22, 8)[..., None]
    turf = np.array([0.27, 0.40, 0.16]) + 0.10 * noise(x * 40, y * 60, 9)[..., None]
    inside = soft(np.maximum(rock - y, y - 0.685 - 0.02 * noise(x * 12, 0 * x, 11))) * soft(0.55 - x, 0.05)
    colour = over(colour, stone, inside)
    colour = over(colour, turf, inside * soft(y - rock - 0.035, 0.02))
    half = 0.036 - 0.045 * (0.50 - y)
    tower = soft(np.maximum(np.abs(x - 0.80) - half, np.maximum(0.19 - y, y - 0.50)))
    round_light = np.clip(0.62 - (x - 0.80) / (2.6 * np.maximum(half, 0.01)), 0.25, 1)[..., None]
    stripes = (np.floor((y - 0.19) / 0.062) % 2)[..., None]
    colour = over(
        colour,
        (np.array([0.96, 0.94, 0.90]) * (1 - stripes) + np.array([0.78, 0.16, 0.13]) * stripes) * round_light,
        tower,
    )
    gallery = soft(np.maximum(np.abs(x - 0.80) - 0.034, np.abs(y - 0.19) - 0.007))
    lamp = soft(np.maximum(np.abs(x - 0.80) - 0.017, np.maximum(0.145 - y, y - 0.185)))
    roof = soft(np.maximum(np.abs(x - 0.80) - 0.75 * (y - 0.115), np.maximum(0.115 - y, y - 0.148)))
    colour = over(colour, (1.0, 0.93, 0.60), lamp)
    colour = over(over(colour, (0.16, 0.17, 0.20), gallery), (0.55, 0.12, 0.11), roof)
    house = soft(np.maximum(np.abs(x - 0.69) - 0.055, np.maximum(0.445 - y, y - 0.50)))
    thatch = soft(np.maximum(np.abs(x - 0.69) - 0.070 + 0.9 * (0.45 - y), np.maximum(0.40 - y, y - 0.45)))
    colour = over(over(colour, (0.92, 0.86, 0.74), house), (0.50, 0.24, 0.18), thatch)
    for left in (0.655, 0.70):
        window = np.maximum(np.abs(x - left - 0.011) - 0.010, np.abs(y - 0.468) - 0.011)
        colour = over(colour, (0.25, 0.28, 0.36), soft(window))
    return colour


def boat(colour: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    hull = np.maximum(np.abs(x - 0.36) - 0.085 + 0.9 * (y - 0.745), np.maximum(0.735 - y, y - 0.775))
    main = np.maximum(np.maximum(x - 0.355, y - 0.728), 0.02 + 2.9 * (0.36 - x) - (y - 0.235) + 0.02 * np.sin(9 * y))
    jib = np.maximum(np.maximum(0.368 - x, y - 0.722), 0.02 + 4.2 * (x - 0.368) - (y - 0.26))
    mast = np.maximum(np.abs(x - 0.361) - 0.003, np.maximum(0.24 - y, y - 0.74))
    shade = 0.93 + 0.07 * noise(x * 30, y * 8, 12)[..., None]
    mirror = (
        np.clip(1 - (y - 0.775) / 0.16, 0, 1)
        * (np.abs(x - 0.36 + 0.01 * noise(x * 8, y * 60, 13)) < 0.07)
        * (y > 0.775)
    )
    colour = over(colour, (0.10, 0.12, 0.18), 0.5 * mirror)
    colour = over(
        over(colour, np.array([0.98, 0.93, 0.84]) * shade, soft(main)), np.array([0.93, 0.46, 0.24]) * shade, soft(jib)
    )
    return over(over(colour, (0.25, 0.15, 0.10), soft(mast)), (0.14, 0.23, 0.42), soft(hull))


def render(side: int = SIDE) -> Image.Image:
    full = side * OVER
    y, x = (np.mgrid[0:full, 0:full] + 0.5) / full
    shore = 0.60
    colour = np.where((y < shore)[..., None], hills(sky(x, y), x, y), water(x, y, shore))
    colour = boat(lighthouse(colour, x, y), x, y)
    small = np.clip(colour, 0, 1).reshape(side, OVER, side, OVER, 3).mean((1, 3))
    return Image.fromarray((small * 255).round().astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--side", type=int, default=SIDE)
    args = parser.parse_args()
    render(args.side).save(args.output, optimize=True)


if __name__ == "__main__":
    main()
