"""The starter model in PyTorch, run as laterna runs it: one step, at the timestep that the strength stands for."""

from pathlib import Path

import architecture
import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

TIMESTEPS = 1000


class Starter:
    """The networks of a model folder. Pictures are [batch, 3, height, width] in 0..1."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder").float().eval()
        self.vae = AutoencoderTiny.from_pretrained(folder / "vae").float().eval()
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet").float().eval()
        self.schedule = architecture.signal_and_noise().float()

    @torch.no_grad()
    def embed(self, prompts: list[str]) -> torch.Tensor:
        """[prompts, 77, width]"""
        ids = self.tokenizer(prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        return self.text(ids.input_ids).last_hidden_state

    @torch.no_grad()
    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.vae.encoder(2 * pictures - 1)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return (self.vae.decoder(latents) / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def paint(self, pictures: torch.Tensor, text: torch.Tensor, strength: float, noise: torch.Tensor) -> torch.Tensor:
        """text: [1 or batch, 77, width]; noise: [1 or batch, latents, height / 4, width / 4]"""
        scale, count = self.vae.config.scaling_factor, len(pictures)
        time = max(round(strength * TIMESTEPS) - 1, 0)
        signal, spread = self.schedule[:, time]
        clean = self.encode(pictures)
        noisy = signal * scale * clean + spread * noise
        given = torch.cat([noisy, clean], 1)
        velocity = self.unet(given, time, text.expand(count, -1, -1), return_dict=False)[0]
        return self.decode((signal * noisy - spread * velocity) / scale)


def pixels(picture: Image.Image) -> torch.Tensor:
    """[1, 3, height, width] in 0..1"""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


def bytes_of(picture: torch.Tensor) -> np.ndarray:
    """[3, height, width] in 0..1 -> RGB [height, width, 3], 8 bits"""
    return (picture.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
