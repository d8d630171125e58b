"""The starter model's networks: diffusers' own classes, sized so that a 512x512 frame stays below 32 GFLOP."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, EulerDiscreteScheduler, UNet2DConditionModel

LATENTS = 8
TEXT_WIDTH = 128

# Factor 4: three levels. The encoder's first level is one convolution, since nothing has been learned there that the
# strided convolution behind it could not see.
VAE = {
    "latent_channels": LATENTS,
    "encoder_block_out_channels": (16, 16, 16),
    "decoder_block_out_channels": (16, 16, 16),
    "num_encoder_blocks": (0, 2, 2),
    "num_decoder_blocks": (3, 3, 0),
}

# InstructPix2Pix's layout (noisy latent, then the clean one) on SDXS's topology. Only the coarsest level looks at the
# picture itself, the middle one at the text alone, the finest at neither.
UNET = {
    "sample_size": 128,
    "in_channels": 2 * LATENTS,
    "out_channels": LATENTS,
    "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "mid_block_type": None,
    "block_out_channels": (32, 64, 128),
    "layers_per_block": 1,
    "attention_head_dim": (1, 2, 4),
    "only_cross_attention": (False, True, False),
    "cross_attention_dim": TEXT_WIDTH,
    "norm_num_groups": 8,
    "use_linear_projection": True,
}

SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
}

INDEX = {
    "_class_name": "StableDiffusionInstructPix2PixPipeline",
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderTiny"],
}


def autoencoder() -> AutoencoderTiny:
    return AutoencoderTiny(**VAE)


def unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(**UNET)


def scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**SCHEDULER)


def signal_and_noise(device: torch.device | str = "cpu") -> torch.Tensor:
    """[2, 1000]: sqrt(a_t) and sqrt(1 - a_t) of each timestep."""
    kept = scheduler().alphas_cumprod.to(device)
    return torch.stack([kept.sqrt(), (1 - kept).sqrt()])


def save(folder: Path, *, vae=None, unet=None) -> None:
    """Writes components in diffusers' layout as f16, with the scheduler and the index."""
    for name, module in (("vae", vae), ("unet", unet)):
        if module is not None:
            module.to(torch.float16).save_pretrained(folder / name)
            module.float()
    scheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
