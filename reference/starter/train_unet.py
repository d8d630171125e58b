"""Trains the UNet to paint in one step what the painter paints, for every prompt, strength and noise."""

import argparse
import time
from pathlib import Path

import architecture
import data
import torch
from diffusers import AutoencoderTiny
from losses import Lpips, change_loss
from painter import paint
from safetensors.torch import load_file
from styles import parameters
from trainer import Place, Recorded, Trainer, add_common_options, compiled, write_options
from transformers import CLIPTextConfig, CLIPTextModel

TIMESTEPS = 1000


class Prompts:
    """Encoded prompts with their recipes, drawn at random."""

    def __init__(self, bank: Path, text_encoder: Path, camera: data.Camera, device: torch.device) -> None:
        stored = load_file(bank)
        encoder = load_text_encoder(text_encoder).to(device).eval()
        with torch.no_grad():
            chunks = [encoder(ids.to(device).int()).last_hidden_state.half() for ids in stored["ids"].split(512)]
        self.embeddings, self.recipes = torch.cat(chunks), stored["recipes"].to(device)
        self.camera = camera

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        which = self.camera.integers(len(self.recipes), count)
        return self.embeddings[which].float(), self.recipes[which].float()


def load_text_encoder(folder: Path) -> CLIPTextModel:
    """Versions of transformers differ in a prefix of the names, which from_pretrained lets pass with random weights."""
    model = CLIPTextModel(CLIPTextConfig.from_pretrained(folder))
    stored = load_file(folder / "model.safetensors")
    stored = {name.removeprefix("text_model."): tensor.float() for name, tensor in stored.items()}
    names = [name for name, _ in model.named_parameters()]
    missing = model.load_state_dict({name: stored[name.removeprefix("text_model.")] for name in names}, strict=False)
    assert not missing.unexpected_keys
    return model


def main() -> None:
    args, started = arguments(), time.time()
    place = Place.join()
    torch.manual_seed(args.seed)
    unet = architecture.unet().to(place.device, memory_format=torch.channels_last)
    trainer = Trainer(unet, place, rate=(args.rate, args.last_rate))
    if args.resume:
        trainer.resume(args.resume)
    lpips = Lpips(args.data / "lpips/lpips_alexnet_v0.1.safetensors").to(place.device)
    vae = AutoencoderTiny.from_pretrained(args.vae).float().to(place.device, memory_format=torch.channels_last)
    vae.requires_grad_(False)
    generator = torch.Generator(place.device).manual_seed(args.seed + 1000 * trainer.steps + place.rank)
    bank = data.crop_bank(args.data, args.side, args.crops, args.seed + place.rank, args.workers).to(place.device)
    camera = data.Camera(bank, args.side, generator)
    prompts = Prompts(args.prompts, args.text_encoder, camera, place.device)
    schedule = architecture.signal_and_noise(place.device).float()
    teach = Recorded(paint)
    amp = torch.autocast(place.device.type, torch.bfloat16)
    scale = vae.config.scaling_factor

    def encode(picture: torch.Tensor) -> torch.Tensor:
        return vae.encoder(2 * picture - 1).float()

    def whole(
        seen: torch.Tensor, target: torch.Tensor, noise: torch.Tensor, time: torch.Tensor, text: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        signal, spread = schedule[:, time, None, None, None]
        with amp:
            with torch.no_grad():
                clean, wanted = encode(torch.cat([seen, target])).chunk(2)
                noisy = signal * scale * clean + spread * noise
            velocity = unet(torch.cat([noisy, clean], 1), time, text, return_dict=False)[0].float()
            latent = (signal * noisy - spread * velocity) / scale
            output = (vae.decoder(latent) / 2 + 0.5).float()
            perceived = lpips(output, target).mean()
        hidden = scale * (latent - wanted).abs().mean()
        pixel = (output - target).abs().mean()
        change = change_loss(output, target)
        loss = args.latent * hidden + pixel + args.lpips * perceived + args.change * change
        return {"loss": loss, "latent": hidden, "pixel": pixel, "lpips": perceived, "change": change}

    whole = compiled(whole, enabled=args.compile)

    def step() -> dict[str, torch.Tensor]:
        half = args.batch // 2
        with torch.no_grad():
            picture = camera.pairs(half)
            text, recipe = (part.repeat(2, *[1] * (part.dim() - 1)) for part in prompts.draw(half))
            strength = camera.uniform(0, 1, half).pow(args.skew).repeat(2)
            time = (strength * TIMESTEPS).round().long().sub(1).clamp(0, TIMESTEPS - 1)
            noise = camera.normal(half, architecture.LATENTS, args.side // 4, args.side // 4).repeat(2, 1, 1, 1)
            target = teach(picture, noise, parameters(recipe, strength))
            seen = camera.sense(picture)
        return whole(seen, target, noise, time, text)

    trainer.run(step, started + args.seconds, args.output)
    if place.rank == 0:
        write_options(args.output, args)
    place.leave()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with photos/, clips/ and lpips/")
    parser.add_argument("vae", type=Path, help="the trained autoencoder, in diffusers' layout")
    parser.add_argument("text_encoder", type=Path)
    parser.add_argument("prompts", type=Path, help="what bank.py wrote")
    parser.add_argument("output", type=Path)
    parser.add_argument("--batch", type=int, default=48, help="per process, pairs counting twice")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--last-rate", type=float, default=1e-4)
    parser.add_argument("--latent", type=float, default=0.5)
    parser.add_argument("--lpips", type=float, default=0.5)
    parser.add_argument("--change", type=float, default=1.0)
    parser.add_argument("--skew", type=float, default=0.6, help="strengths are uniform numbers to this power")
    parser.add_argument("--seed", type=int, default=2)
    add_common_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
