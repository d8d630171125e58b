"""The teacher: one parametric painter, batched and on any device. It defines what each style looks like.

Pictures are [batch, 3, height, width] in 0..1, sides multiples of 16. The latent noise of the diffusion model decides
grain, stroke placement, washes and shifts of hue, so that a seed stands for something that a person can see and the
network can learn. Every step is smooth in its input and its parameters: thresholds would flicker in a live picture.
"""

import math
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from styles import COLUMN

# Kuwahara sectors around a pixel, as unit vectors.
SECTORS = 8
# Standard deviations of the blurred copies that a brush of any size is interpolated from.
SCALES = (0.0, 1.0, 2.0, 4.0)


def paint(picture: torch.Tensor, noise: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """picture, noise: [batch, 8, height / 4, width / 4], parameters: [batch, styles.NAMES] -> the painted picture."""
    p = {name: parameters[:, index, None, None, None] for name, index in COLUMN.items()}
    fields = Fields(noise)
    picture = exposed(picture, p["expose"])
    flow = Flow(picture, fields)

    brushed = warp(picture, p["wobble"] * fields.wobble)
    for size in (1.0, 0.6):
        brushed = kuwahara(brushed, flow, size * p["radius"], p["stretch"])
    smooth = blur(luminance(brushed), 1.0)
    colour = local_contrast(brushed, picture, p)
    colour = tone(colour, p)
    colour = shift_hue(colour, p["hue"] * fields.hue)
    colour = pigment(colour, smooth, fields, p)
    colour = strokes(colour, fields, flow, p)
    colour = pencil(colour, picture, smooth, fields, p)
    colour = lines(colour, smooth, p)
    colour = stipple(colour, fields, p)
    colour = glow(colour, smooth, fields, p)
    return colour.clamp(0, 1)


class Fields:
    """Pictures made from the latent noise, each with about unit variance: [batch, channels, height, width]."""

    def __init__(self, noise: torch.Tensor) -> None:
        self.fine = enlarge(F.pixel_shuffle(noise[:, :4], 2), 2)
        self.coarse = enlarge(noise[:, 4:5], 4)
        self.wobble = self.slow(noise[:, 4:6], 4)
        self.wash = self.slow(noise[:, 6:7], 4)
        self.hue = self.slow(noise[:, 7:8], 8)
        self.dots = blur(1.6 * enlarge(noise[:, 5:6], 4), 2.0)

    @staticmethod
    def slow(noise: torch.Tensor, factor: int) -> torch.Tensor:
        return 1.4 * enlarge(factor * F.avg_pool2d(noise, factor), 4 * factor)


class Flow:
    """Where strokes run: along the edges of the picture, smoothed (structure tensor; Kyprianidis and Kang 2011)."""

    def __init__(self, picture: torch.Tensor, fields: "Fields") -> None:
        gx, gy = gradient(blur(luminance(picture), 1.0))
        # Where the picture says nothing, the hand does, so that sensor noise never turns a stroke.
        hand = 1.1 * fields.wash + 2.2
        gx, gy = torch.cat([gx, 0.012 * hand.cos()], 1), torch.cat([gy, 0.012 * hand.sin()], 1)
        products = torch.stack([gx * gx, gy * gy, gx * gy]).sum(2)
        xx, yy, xy = blur(products.transpose(0, 1), 4.0).split(1, 1)
        spread = torch.sqrt((xx - yy) ** 2 + 4 * xy**2 + 1e-10)
        angle = 0.5 * torch.atan2(2 * xy, xx - yy) + torch.pi / 2
        self.along = torch.cat([angle.cos(), angle.sin()], 1)
        # 0 where no direction prevails.
        self.certainty = (spread - 1e-4).clamp_min(0) / (xx + yy + 2e-4)


def kuwahara(picture: torch.Tensor, flow: Flow, radius: torch.Tensor, stretch: torch.Tensor) -> torch.Tensor:
    """Each pixel becomes the mean of the sectors around it, the calmest counting most, in ellipses along the flow."""
    squares = (picture**2).sum(1, keepdim=True)
    stack = scale_space(torch.cat([picture, squares], 1), radius / 2)
    longer = 1 + stretch * flow.certainty
    along = 0.8 * radius * longer * flow.along
    across = 0.8 * radius / longer * torch.stack([-flow.along[:, 1], flow.along[:, 0]], 1)
    total, weights = 0.0, 0.0
    for sector in range(SECTORS):
        turn = 2 * math.pi * sector / SECTORS
        sample = warp(stack, math.cos(turn) * along + math.sin(turn) * across)
        mean, square = sample[:, :3], sample[:, 3:]
        variance = (square - (mean**2).sum(1, keepdim=True)).clamp_min(0)
        weight = (variance + 0.0015) ** -2.5
        total, weights = total + weight * mean, weights + weight
    return total / weights


def exposed(picture: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """A dark picture is lit before it is painted, as far as its mean asks for."""
    mean = luminance(picture).mean((2, 3), keepdim=True)
    gain = (0.46 / (mean + 0.01)).clamp(1, 6)
    return (1 - (1 - picture).clamp_min(0) ** (1 + amount * (gain - 1))).clamp(0, 1)


def local_contrast(colour: torch.Tensor, picture: torch.Tensor, p: dict) -> torch.Tensor:
    """Lifts shadows, holds highlights and brings out structure at two sizes, as photographers' tone mapping does."""
    light = luminance(colour)
    base = wide_blur(light)
    detail = luminance(picture) - blur(luminance(picture), 2.0)
    compressed = base + p["local"] * 0.35 * (0.5 - base)
    target = compressed + (light - base) * (1 + 0.7 * p["local"]) + p["detail"] * 0.9 * detail
    return relight(colour, light, target)


def tone(colour: torch.Tensor, p: dict) -> torch.Tensor:
    """Exposure, contrast, flat tones, the palette, saturation, tint."""
    colour = colour.clamp(1e-4, 1) ** torch.exp2(-p["light"])
    colour = contrasted(colour, p["contrast"])
    light = luminance(colour)
    colour = relight(colour, light, light + p["flat"] * (soft_levels(light, p["levels"]) - light))
    light = luminance(colour).clamp(0, 1)
    colour = torch.lerp(colour, three_colours(light, p), p["duo"].clamp(0, 1))
    light = luminance(colour)
    colour = light + (colour - light) * (1 + p["saturation"]).clamp_min(0)
    tint = torch.cat([p["tint_r"], p["tint_g"], p["tint_b"]], 1)
    return (colour + 0.32 * tint * (4 * light * (1 - light)).clamp(0, 1) ** 0.5).clamp(0, 1)


def contrasted(colour: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """An S curve for positive amounts, mist for negative ones."""
    curve = colour * colour * (3 - 2 * colour)
    misty = 0.35 * colour + 0.5
    colour = colour + amount.clamp(0, 1.5) * (curve - colour)
    return torch.lerp(colour, misty, (-amount).clamp(0, 1))


def soft_levels(light: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Posterised, with ramps a third of a level wide."""
    scaled = light * levels
    part = scaled - scaled.floor()
    ramp = ((part - 0.5) * 3 + 0.5).clamp(0, 1)
    return (scaled.floor() + ramp * ramp * (3 - 2 * ramp)) / levels.clamp_min(1e-3)


def three_colours(light: torch.Tensor, p: dict) -> torch.Tensor:
    shadow, mid, high = (torch.cat([p[f"{part}_{c}"] for c in "rgb"], 1) for part in ("shadow", "mid", "high"))
    return torch.where(light < 0.5, torch.lerp(shadow, mid, 2 * light), torch.lerp(mid, high, 2 * light - 1))


def shift_hue(colour: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Warmer where the shift is positive, cooler where it is negative."""
    warm = rgb(1.0, 0.1, -1.1, colour.device)
    return (colour + shift * warm * 0.5).clamp(0, 1)


def pigment(colour: torch.Tensor, smooth: torch.Tensor, fields: Fields, p: dict) -> torch.Tensor:
    """Washes that vary, dark rims where a wash ends, and the grain of paper or wood showing through."""
    gx, gy = gradient(blur(smooth, 1.0))
    rim = torch.tanh(9 * torch.sqrt(gx * gx + gy * gy + 1e-6))
    depth = 1 - p["edge"] * 0.6 * rim + p["wash"] * fields.wash
    depth = depth + p["grain"] * fields.fine + p["wood"] * streaks(fields.coarse)
    # A darker wash is also a deeper colour: Beer's law on what the paper lets through.
    return colour.clamp(1e-3, 1) ** (2 - depth).clamp(0.4, 2.5)


def streaks(noise: torch.Tensor) -> torch.Tensor:
    """Grain of a wood block: noise drawn out sideways."""
    return 2.2 * F.avg_pool2d(F.pad(noise, (16, 16, 0, 0), "reflect"), (1, 33), 1)


def strokes(colour: torch.Tensor, fields: Fields, flow: Flow, p: dict) -> torch.Tensor:
    """Ridges that a brush leaves: noise drawn out along the flow (Cabral and Leedom 1993)."""
    ridges, taps = 0.0, range(-4, 5)
    for tap in taps:
        ridges = ridges + warp(fields.coarse, 3.0 * tap * flow.along)
    light = luminance(colour)
    return colour + p["bristle"] * ridges / 3.2 * (0.35 + light * (1.3 - light))


def pencil(colour: torch.Tensor, picture: torch.Tensor, smooth: torch.Tensor, fields: Fields, p: dict) -> torch.Tensor:
    """Graphite on paper: what is darker than its surroundings, shaded by hatching that follows the hand."""
    light = luminance(picture)
    drawn = (blur(light, 1.0) + 0.03) / (wide_blur(light) + 0.03)
    drawn = 1 - 0.95 * (1 - drawn).clamp(0, 1) ** 0.9
    slant = 0.0
    for tap in range(-3, 4):
        slant = slant + torch.roll(fields.fine, (2 * tap, -2 * tap), (2, 3)) / 2
    shade = (1 - smooth).clamp(0, 1) ** 1.3
    shaded = 1 - shade * (0.55 + 0.1 * slant)
    paper = rgb(0.97, 0.96, 0.93, colour.device)
    return torch.lerp(colour, paper * (drawn * shaded).clamp(0.02, 1), p["sketch"].clamp(0, 1))


def lines(colour: torch.Tensor, smooth: torch.Tensor, p: dict) -> torch.Tensor:
    """Dark outlines: a difference of Gaussians under a soft threshold (XDoG; Winnemoeller et al. 2012)."""
    sigma = p["width"].clamp(0.3, 2.4)
    near, far = scale_space(smooth, sigma), scale_space(smooth, 1.6 * sigma)
    response = (near - far) / (0.15 + 0.5 * far)
    ink = torch.sigmoid(-(response + 0.035) * 110)
    return colour * (1 - 0.92 * p["line"].clamp(0, 1) * ink)


def stipple(colour: torch.Tensor, fields: Fields, p: dict) -> torch.Tensor:
    """Printed dots, more of them where the picture is darker."""
    light = luminance(colour)
    dots = torch.sigmoid(7 * (fields.dots - 3 * light + 0.3))
    return colour * (1 - 0.75 * p["stipple"] * dots)


def glow(colour: torch.Tensor, smooth: torch.Tensor, fields: Fields, p: dict) -> torch.Tensor:
    """Neon tubes along edges, pink to cyan, and light that spills over."""
    gx, gy = gradient(smooth)
    edge = torch.tanh(7 * (torch.sqrt(gx * gx + gy * gy + 1e-6) - 0.02).clamp_min(0))
    pink, cyan = rgb(1.0, 0.12, 0.62, colour.device), rgb(0.08, 0.85, 1.0, colour.device)
    tube = torch.lerp(pink, cyan, torch.sigmoid(2.5 * fields.hue + 5 * (blur(smooth, 4.0) - 0.45)))
    lit = edge * tube
    colour = colour + p["glow"] * (0.8 * lit + 0.9 * wide_blur(lit))
    spill = wide_blur((colour - 0.55).clamp_min(0))
    return colour + 1.2 * p["bloom"] * spill


@lru_cache
def rgb(red: float, green: float, blue: float, device: torch.device) -> torch.Tensor:
    return torch.tensor([red, green, blue], device=device).view(1, 3, 1, 1)


def luminance(picture: torch.Tensor) -> torch.Tensor:
    weights = rgb(0.299, 0.587, 0.114, picture.device)
    return (picture * weights).sum(1, keepdim=True)


def relight(colour: torch.Tensor, light: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The same colours at another luminance."""
    return (colour * (target.clamp(0, 1) + 0.02) / (light + 0.02)).clamp(0, 1)


def gradient(field: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    padded = F.pad(field, (1, 1, 1, 1), "replicate")
    return (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2, (
        padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    ) / 2


def blur(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian with mirrored borders. As products with banded matrices it is two kernels, however wide it is."""
    height, width = x.shape[2:]
    return _gaussian(height, sigma, x.device) @ x @ _gaussian(width, sigma, x.device).T


@lru_cache
def _gaussian(length: int, sigma: float, device: torch.device) -> torch.Tensor:
    """[length, length]: row i holds the weights of the pixels that make pixel i."""
    reach = int(3 * sigma + 0.5)
    taps = torch.arange(-reach, reach + 1)
    weights = torch.exp(-(taps**2) / (2 * sigma**2))
    places = (torch.arange(length)[:, None] + taps).abs()
    places = torch.where(places >= length, 2 * (length - 1) - places, places)
    matrix = torch.zeros(length, length).scatter_add_(1, places, (weights / weights.sum()).expand(length, -1))
    return matrix.to(device)


def wide_blur(x: torch.Tensor) -> torch.Tensor:
    """A Gaussian of about 10 pixels, by way of a smaller picture."""
    return enlarge(blur(F.avg_pool2d(x, 4), 2.5), 4)


def scale_space(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blurred by a standard deviation that differs between samples ([batch, 1, 1, 1]), between those of SCALES."""
    copies = [x if scale == 0 else blur(x, scale) for scale in SCALES]
    result = copies[0]
    for (low, high), copy in zip(pairwise(SCALES), copies[1:], strict=True):
        result = torch.lerp(result, copy, ((sigma - low) / (high - low)).clamp(0, 1))
    return result


def enlarge(x: torch.Tensor, factor: int) -> torch.Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def warp(x: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """x at each pixel plus offset [batch, 2, height, width] in pixels, x before y."""
    height, width = x.shape[2:]
    ys = torch.arange(height, device=x.device, dtype=x.dtype).view(1, -1, 1)
    xs = torch.arange(width, device=x.device, dtype=x.dtype).view(1, 1, -1)
    grid = torch.stack([(xs + offset[:, 0] + 0.5) * 2 / width - 1, (ys + offset[:, 1] + 0.5) * 2 / height - 1], -1)
    return F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)
