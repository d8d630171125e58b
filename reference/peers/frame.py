"""The one-step frame that every engine runs: encode, add fixed noise, UNet at t = 999, recover x0, decode."""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from diffusers import AutoencoderTiny, EulerDiscreteScheduler, UNet2DConditionModel
from PIL import Image, ImageOps

from common import generator, randn

TIMESTEP = 999
TOKENS = 77


class Frame(torch.nn.Module):
    """image: [1, 3, height, width] in [-1, 1] -> (image of the same shape, eps: [1, 4, height/8, width/8]).

    Noise and prompt embedding are constants, as they are in a live session between two prompts.
    """

    def __init__(self, model: Path, height: int, width: int) -> None:
        super().__init__()
        self.vae = AutoencoderTiny.from_pretrained(model / "vae").eval()
        self.unet = UNet2DConditionModel.from_pretrained(model / "unet").eval()
        schedule = EulerDiscreteScheduler.from_pretrained(model / "scheduler")
        alpha = float(schedule.alphas_cumprod[TIMESTEP])
        self.signal, self.spread = alpha**0.5, (1 - alpha) ** 0.5
        self.register_buffer("noise", randn(1, 1, self.unet.config.in_channels, height // 8, width // 8))
        self.register_buffer("prompt", randn(2, 1, TOKENS, self.unet.config.cross_attention_dim))
        self.register_buffer("timestep", torch.tensor([TIMESTEP]))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.signal * self.vae.encode(image).latents + self.spread * self.noise
        eps = self.unet(z, self.timestep, self.prompt, return_dict=False)[0]
        x0 = (z - self.spread * eps) / self.signal
        return self.vae.decode(x0, return_dict=False)[0], eps


def picture(height: int, width: int, seed: int = 3) -> torch.Tensor:
    """A smooth synthetic picture [1, 3, height, width] in [-1, 1]."""
    coarse = torch.rand((1, 3, 8, 8), generator=generator(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(-1, 1)


def photograph(path: Path, height: int, width: int) -> torch.Tensor:
    """The middle of a photograph, scaled: [1, 3, height, width] in [-1, 1]."""
    fitted = ImageOps.fit(Image.open(path).convert("RGB"), (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)[None].float() / 127.5 - 1
