"""The ten styles as points in the parameter space of one painter, and how prompts and strength move between them.

A style is a list of amounts, all zero for the untouched photo. Weights mix styles by averaging, strength scales what
comes out, so that every prompt and every strength has one target that changes smoothly with both.
"""

import torch
from prompts import STYLES

# What each amount does is said where painter.py uses it.
AMOUNTS = (
    "radius", "stretch", "wobble", "bristle", "flat", "local", "detail", "saturation", "light", "contrast", "duo",
    "line", "edge", "wash", "grain", "wood", "hue", "sketch", "glow", "bloom", "stipple",
    "expose", "tint_r", "tint_g", "tint_b",
)  # fmt: skip
# Averaged over the styles that have the amount beside it, in proportion to how much they have.
SHAPES = {
    "levels": "flat", "width": "line", "shadow_r": "duo", "shadow_g": "duo", "shadow_b": "duo", "mid_r": "duo",
    "mid_g": "duo", "mid_b": "duo", "high_r": "duo", "high_g": "duo", "high_b": "duo",
}  # fmt: skip
NAMES = AMOUNTS + tuple(SHAPES)
COLUMN = {name: index for index, name in enumerate(NAMES)}


def palette(shadow: tuple, mid: tuple, high: tuple) -> dict[str, float]:
    """Three colours that luminance is mapped to, from dark to bright."""
    named = zip(("shadow", "mid", "high"), (shadow, mid, high), strict=True)
    return {f"{part}_{c}": value for part, colour in named for c, value in zip("rgb", colour, strict=True)}


TABLE = {
    "oil": {
        "radius": 3.5, "stretch": 1, "wobble": 0.8, "bristle": 0.06, "saturation": 0.3, "contrast": 0.25, "hue": 0.03,
        "flat": 0.2, "levels": 8, "duo": 0.14,
        **palette((0.12, 0.06, 0.02), (0.55, 0.36, 0.18), (1.0, 0.92, 0.72)),
    },
    "watercolour": {
        "radius": 3, "stretch": 0.3, "wobble": 1.4, "wash": 0.08, "edge": 0.7, "grain": 0.06, "saturation": 0.35,
        "light": 0.5, "flat": 0.35, "levels": 6, "contrast": -0.2,
    },
    "pencil": {"radius": 1.5, "sketch": 1, "line": 0.4, "width": 0.9, "grain": 0.05, "saturation": -1},
    "neon": {
        "radius": 2, "glow": 0.9, "bloom": 0.4, "light": -0.65, "contrast": 0.3, "saturation": 0.5, "hue": 0.05,
        "duo": 0.75, **palette((0.02, 0.01, 0.10), (0.30, 0.04, 0.50), (0.35, 0.85, 1.0)),
    },
    "anime": {
        "radius": 3, "stretch": 0.4, "flat": 0.55, "levels": 6, "saturation": 0.45, "light": 0.3, "line": 0.5,
        "width": 0.8, "bloom": 0.3, "duo": 0.16, **palette((0.10, 0.12, 0.36), (0.50, 0.62, 0.80), (1.0, 0.98, 0.90)),
    },
    "hdr": {"radius": 1.2, "local": 0.7, "detail": 0.3, "saturation": 0.4, "contrast": 0.1},
    "impressionist": {
        "radius": 3.2, "stretch": 0.8, "wobble": 1.6, "bristle": 0.085, "hue": 0.1, "saturation": 0.55, "light": 0.3,
        "duo": 0.15, **palette((0.20, 0.16, 0.42), (0.45, 0.55, 0.62), (1.0, 0.95, 0.75)),
    },
    "fantasy": {
        "radius": 2.5, "stretch": 0.6, "local": 0.5, "light": -0.3, "contrast": 0.45, "bloom": 0.3, "bristle": 0.03,
        "wash": 0.05, "duo": 0.65, **palette((0.01, 0.03, 0.05), (0.14, 0.21, 0.21), (0.95, 0.66, 0.32)),
    },
    "ukiyoe": {
        "radius": 2.8, "stretch": 0.5, "flat": 0.85, "levels": 5, "line": 0.85, "width": 1.1, "wood": 0.045,
        "saturation": 0.55, "light": 0.2, "duo": 0.4,
        **palette((0.05, 0.14, 0.34), (0.48, 0.58, 0.56), (0.98, 0.89, 0.70)),
    },
    "pop": {
        "radius": 2.5, "flat": 0.95, "levels": 4, "saturation": 1.2, "contrast": 0.4, "line": 0.8, "width": 1.6,
        "stipple": 0.35, "duo": 0.4, **palette((0.22, 0.0, 0.42), (1.0, 0.16, 0.42), (1.0, 0.92, 0.20)),
    },
}  # fmt: skip
# Bold outlines, as "with ink" in a prompt.
INK = {"line": 0.9, "width": 1.7}


def _rows() -> torch.Tensor:
    """[11, parameters]: a row a style and one for ink, with shapes multiplied by the amount they belong to."""
    rows = torch.zeros(len(STYLES) + 1, len(NAMES))
    for row, values in zip(rows, [*(TABLE[style] for style in STYLES), INK], strict=True):
        for name, value in values.items():
            row[COLUMN[name]] = value * values[SHAPES[name]] if name in SHAPES else value
    rows[: len(STYLES), COLUMN["expose"]] = 1
    return rows


ROWS = _rows()
# What a recipe's modifiers add, beside ink, which is a row.
LIGHT, CONTRAST, SATURATION = 0.9, 0.8, 0.9


def amount(strength: torch.Tensor) -> torch.Tensor:
    """How much of a style a strength stands for: nearly linear at first, 0.9 at a strength of 0.8."""
    return 1 - (1 - strength).clamp(0, 1) ** 1.4


def parameters(recipe: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """recipe: [batch, RECIPE], strength: [batch] -> the painter's parameters, [batch, parameters]."""
    count = len(STYLES)
    scale = amount(strength)[:, None]
    mixed = (recipe[:, : count + 1] @ ROWS.to(recipe)) * scale
    modifiers = recipe[:, count + 1 :] * scale
    columns = list(mixed.unbind(1))
    for index, name in enumerate(("tint_r", "tint_g", "tint_b")):
        columns[COLUMN[name]] = columns[COLUMN[name]] + modifiers[:, index]
    for index, (name, gain) in enumerate(
        (("saturation", SATURATION), ("light", LIGHT), ("contrast", CONTRAST)), start=3
    ):
        columns[COLUMN[name]] = columns[COLUMN[name]] + gain * modifiers[:, index]
    for name, owner in SHAPES.items():
        columns[COLUMN[name]] = columns[COLUMN[name]] / columns[COLUMN[owner]].clamp_min(1e-4)
    return torch.stack(columns, 1)
