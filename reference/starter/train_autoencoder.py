"""Trains the autoencoder on photos and paintings, with latents of about unit variance that stand some noise."""

import argparse
import time
from pathlib import Path

import architecture
import data
import torch
from losses import Lpips
from painter import paint
from prompts import RECIPE, STYLES
from styles import parameters
from torch import nn
from trainer import Place, Recorded, Trainer, add_common_options, compiled, write_options


class Autoencoder(nn.Module):
    """Pictures in 0..1 to latents and back, as diffusers' AutoencoderTiny has it."""

    def __init__(self) -> None:
        super().__init__()
        vae = architecture.autoencoder()
        self.encoder, self.decoder = vae.encoder, vae.decoder

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        return self.encoder(2 * picture - 1)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return self.decoder(latent) / 2 + 0.5


def main() -> None:
    args, started = arguments(), time.time()
    place = Place.join()
    torch.manual_seed(args.seed)
    model = Autoencoder().to(place.device, memory_format=torch.channels_last)
    trainer = Trainer(model, place, rate=(args.rate, args.last_rate))
    if args.resume:
        trainer.resume(args.resume)
    lpips = Lpips(args.data / "lpips/lpips_alexnet_v0.1.safetensors").to(place.device)
    generator = torch.Generator(place.device).manual_seed(args.seed + 1000 * trainer.steps + place.rank)
    bank = data.crop_bank(args.data, args.side, args.crops, args.seed + place.rank, args.workers).to(place.device)
    camera = data.Camera(bank, args.side, generator)
    teach = Recorded(paint)
    amp = torch.autocast(place.device.type, torch.bfloat16)

    def whole(picture: torch.Tensor, jitter: torch.Tensor) -> dict[str, torch.Tensor]:
        with amp:
            latent = model.encode(picture)
            output = model.decode(latent + jitter)
        output, latent = output.float(), latent.float()
        with amp:
            perceived = lpips(output, picture).mean()
        pixel = (output - picture).abs().mean()
        square = ((output - picture) ** 2).mean((1, 2, 3))
        spread = (latent.std((0, 2, 3)) - 1).square().mean() + latent.mean((0, 2, 3)).square().mean()
        loss = pixel + args.lpips * perceived + 0.02 * spread + args.square * square.sqrt().mean()
        return {"loss": loss, "pixel": pixel, "lpips": perceived, "psnr": -10 * square.log10().mean(), "spread": spread}

    whole = compiled(whole, enabled=args.compile)

    def step() -> dict[str, torch.Tensor]:
        with torch.no_grad():
            picture = camera.sense(camera.draw(args.batch))
            painted = some_paintings(camera, picture[: args.batch // 2], teach)
            picture = torch.cat([painted, picture[args.batch // 2 :]])
            latent = (args.batch, architecture.LATENTS, args.side // 4, args.side // 4)
            jitter = args.jitter * camera.normal(*latent)
            picture = picture.contiguous(memory_format=torch.channels_last)
        return whole(picture, jitter)

    trainer.run(step, started + args.seconds, args.output)
    if place.rank == 0:
        write_options(args.output, args)
    place.leave()


def some_paintings(camera: data.Camera, pictures: torch.Tensor, teach: Recorded) -> torch.Tensor:
    """Each painted in one style at some strength."""
    count = len(pictures)
    recipe = torch.zeros(count, RECIPE, device=pictures.device)
    recipe.scatter_(1, camera.integers(len(STYLES), count, 1), 1.0)
    side = pictures.shape[2] // 4
    noise = camera.normal(count, architecture.LATENTS, side, side)
    return teach(pictures, noise, parameters(recipe, camera.uniform(0.3, 1, count)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with photos/, clips/ and lpips/")
    parser.add_argument("output", type=Path)
    parser.add_argument("--batch", type=int, default=48, help="per process")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--last-rate", type=float, default=2e-5)
    parser.add_argument("--lpips", type=float, default=0.4)
    parser.add_argument("--square", type=float, default=0.5, help="weight of the root mean square, which PSNR counts")
    parser.add_argument("--jitter", type=float, default=0.03, help="noise on latents before decoding")
    parser.add_argument("--seed", type=int, default=1)
    add_common_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
