"""Writes trained weights in diffusers' layout, as f16."""

import argparse
from pathlib import Path

import architecture
import torch
from train_autoencoder import Autoencoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="model folder")
    parser.add_argument("--autoencoder", type=Path, help="folder that train_autoencoder.py wrote")
    parser.add_argument("--unet", type=Path, help="folder that train_unet.py wrote")
    args = parser.parse_args()
    vae = unet = None
    if args.autoencoder:
        trained = Autoencoder()
        trained.load_state_dict(averaged(args.autoencoder))
        vae = architecture.autoencoder()
        vae.encoder.load_state_dict(trained.encoder.state_dict())
        vae.decoder.load_state_dict(trained.decoder.state_dict())
    if args.unet:
        unet = architecture.unet()
        unet.load_state_dict(averaged(args.unet))
    architecture.save(args.output, vae=vae, unet=unet)


def averaged(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "averaged.pt")["averaged"]


if __name__ == "__main__":
    main()
