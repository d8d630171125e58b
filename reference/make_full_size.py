"""Writes a full-size checkpoint folder with random weights: the real configuration, none of the real values."""

import argparse
import shutil
from pathlib import Path

import torch

from common import save_json
from make_models import CROSS, EULER, PLAIN, build, index, rounded, save_component, unet

TAESD = {
    "encoder_block_out_channels": (64, 64, 64, 64),
    "decoder_block_out_channels": (64, 64, 64, 64),
    "num_encoder_blocks": (1, 3, 3, 3),
    "num_decoder_blocks": (3, 3, 3, 1),
    "scaling_factor": 1.0,
}
KL = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 768,
    "scaling_factor": 0.18215,
}
OPEN_CLIP = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "projection_dim": 512,
    "hidden_act": "gelu",
    "vocab_size": 49408,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
REAL = {"norm_num_groups": 32, "sample_size": 64}

CHECKPOINTS = {
    "sdxs-512-0.9": {
        "unet": unet(
            [CROSS] * 3, (320, 640, 1280), 1024, layers_per_block=1, mid_block_type=None, **REAL,
            attention_head_dim=[5, 10, 20], use_linear_projection=True, only_cross_attention=[True, False, False],
        ),
        "vae": TAESD,
        "text_encoder": OPEN_CLIP,
        "scheduler": EULER,
    },
    "sd-turbo": {
        "unet": unet(
            [CROSS] * 3 + [PLAIN], (320, 640, 1280, 1280), 1024, **REAL,
            attention_head_dim=[5, 10, 20, 20], use_linear_projection=True,
        ),
        "vae": KL,
        "text_encoder": OPEN_CLIP,
        "scheduler": EULER,
    },
}  # fmt: skip


def write(name: str, folder: Path, store: torch.dtype, with_text: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    components = {k: v for k, v in CHECKPOINTS[name].items() if with_text or k != "text_encoder"}
    for number, (component, config) in enumerate(components.items()):
        if component == "scheduler":
            save_json(folder / component / "scheduler_config.json", config)
            continue
        module = rounded(build(component, config, seed=number), store)
        save_component(folder / component, module, store)
        print(f"{name} {component}: {sum(p.numel() for p in module.parameters()):,} parameters")
    save_json(folder / "model_index.json", index(components))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CHECKPOINTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fp16", action="store_true", help="store the weights as F16")
    parser.add_argument("--text-encoder", action="store_true", help="also write the text encoder (1.3 GB)")
    arguments = parser.parse_args()
    store = torch.float16 if arguments.fp16 else torch.float32
    write(arguments.name, arguments.folder, store, arguments.text_encoder)


if __name__ == "__main__":
    main()
