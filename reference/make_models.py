"""Writes fixtures/models: a small random-weight diffusers folder for each model family, and PyTorch's outputs."""

import argparse
import json
import shutil
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import cases
import make_tokenizer
from common import MODELS, meta, randomise, save_json, save_tensors

VOCAB = 1014  # what make_tokenizer.write returns
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP = {CROSS: "CrossAttnUpBlock2D", PLAIN: "UpBlock2D"}


def unet(down: list[str], channels: tuple[int, ...], cross: int, **rest: object) -> dict:
    """A UNet2DConditionModel config whose up path mirrors its down path."""
    return {
        "down_block_types": tuple(down),
        "up_block_types": tuple(UP[block] for block in reversed(down)),
        "block_out_channels": channels,
        "cross_attention_dim": cross,
        "norm_num_groups": 4,
        "sample_size": 8,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        **rest,
    }


def text(width: int, heads: int, act: str, **rest: object) -> dict:
    """A CLIPTextConfig. Its `eos_token_id` of 2 is the historical value that published checkpoints carry."""
    return {
        "vocab_size": VOCAB,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": heads,
        "num_hidden_layers": 2,
        "projection_dim": width,
        "hidden_act": act,
        "bos_token_id": 0,
        "eos_token_id": 2,
        **rest,
    }


def tiny_vae(levels: int, width: int = 8, latent: int = 4, **rest: object) -> dict:
    """An AutoencoderTiny config that halves the picture `levels - 1` times."""
    return {
        "encoder_block_out_channels": (width,) * levels,
        "decoder_block_out_channels": (width,) * levels,
        "num_encoder_blocks": (1, *[2] * (levels - 1)),
        "num_decoder_blocks": (*[2] * (levels - 1), 1),
        "latent_channels": latent,
        **rest,
    }


def kl_vae(channels: tuple[int, ...], latent: int = 4, **rest: object) -> dict:
    levels = len(channels)
    return {
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "latent_channels": latent,
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "sample_size": 64,
        **rest,
    }


def scheduler(name: str, **rest: object) -> dict:
    return {"_class_name": name, **BETAS, **rest}


EULER = scheduler(
    "EulerDiscreteScheduler", prediction_type="epsilon", timestep_spacing="trailing", steps_offset=1,
    interpolation_type="linear", use_karras_sigmas=False, clip_sample=False, set_alpha_to_one=False,
    skip_prk_steps=True, sample_max_value=1.0, trained_betas=None,
)  # fmt: skip
PNDM = scheduler(
    "PNDMScheduler", clip_sample=False, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1,
    trained_betas=None,
)  # fmt: skip
LCM = scheduler(
    "LCMScheduler", original_inference_steps=50, timestep_spacing="leading", timestep_scaling=10.0, clip_sample=False,
    clip_sample_range=1.0, set_alpha_to_one=True, steps_offset=0, prediction_type="epsilon", thresholding=False,
    dynamic_thresholding_ratio=0.995, sample_max_value=1.0, rescale_betas_zero_snr=False, trained_betas=None,
)  # fmt: skip
DDIM_V = scheduler(
    "DDIMScheduler", prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, skip_prk_steps=True,
    steps_offset=1, trained_betas=None,
)  # fmt: skip

# name -> components. `tokenizer` is its padding token, `store` the dtype of the weights on disk.
FAMILIES: dict[str, dict] = {
    "tiny-sdxs": {
        "unet": unet(
            [CROSS] * 3, (8, 16, 24), 16, layers_per_block=1, mid_block_type=None, attention_head_dim=[1, 2, 3],
            use_linear_projection=True, only_cross_attention=[True, False, False],
        ),
        "vae": tiny_vae(4),
        "text_encoder": text(16, 2, "gelu"),
        "tokenizer": "!",
        "scheduler": EULER,
    },
    "tiny-sdxs-dreamshaper": {
        "unet": unet(
            [PLAIN, CROSS, CROSS], (8, 8, 16), 20, layers_per_block=1, mid_block_type=None, attention_head_dim=4
        ),
        "scheduler": LCM,
    },
    "tiny-sd-turbo": {
        "unet": unet(
            [CROSS] * 3 + [PLAIN], (8, 8, 16, 16), 16, attention_head_dim=[1, 2, 4, 4], use_linear_projection=True
        ),
        "vae": kl_vae((8, 8, 8, 16)),
        "scheduler": EULER,
        "store": torch.float16,
    },
    "tiny-tinysd": {
        "unet": unet([CROSS] * 3, (8, 16, 24), 20, layers_per_block=1, mid_block_type=None, attention_head_dim=4),
        "store": torch.float16,
    },
    "tiny-smallsd": {
        "unet": unet([CROSS] * 3 + [PLAIN], (8, 8, 16, 16), 20, layers_per_block=1, attention_head_dim=4),
        "store": torch.float16,
    },
    "tiny-sd15": {
        "unet": unet([CROSS] * 3 + [PLAIN], (8, 8, 16, 16), 16, attention_head_dim=2),
        "vae": kl_vae((8, 8, 8, 16), layers_per_block=2, scaling_factor=0.18215),
        "text_encoder": text(16, 2, "quick_gelu"),
        "tokenizer": "<|endoftext|>",
        "scheduler": PNDM,
    },
    "tiny-sd21": {
        "unet": unet(
            [CROSS] * 3 + [PLAIN], (8, 8, 16, 16), 20, layers_per_block=1, attention_head_dim=[1, 2, 2, 4],
            use_linear_projection=True,
        ),
        "text_encoder": text(20, 4, "gelu", num_hidden_layers=3, eos_token_id=VOCAB - 1, bos_token_id=VOCAB - 2),
        "scheduler": DDIM_V,
        "store": torch.float16,
    },
    "tiny-sdxl": {
        "unet": unet(
            [PLAIN, CROSS, CROSS], (8, 16, 16), 40, layers_per_block=2, attention_head_dim=[1, 2, 4],
            use_linear_projection=True, transformer_layers_per_block=[1, 2, 3], addition_embed_type="text_time",
            addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 24,
        ),
        "vae": kl_vae((8, 8, 16), scaling_factor=0.13025, force_upcast=True),
        "text_encoder": text(16, 2, "quick_gelu", num_hidden_layers=3),
        "text_encoder_2": text(24, 3, "gelu", num_hidden_layers=3, projection_dim=24),
        "tokenizer": "<|endoftext|>",
        "tokenizer_2": "!",
        "scheduler": scheduler("EulerDiscreteScheduler", timestep_spacing="leading", steps_offset=1),
        "store": torch.float16,
    },
    "tiny-ip2p": {
        "unet": unet([CROSS] * 2 + [PLAIN], (8, 8, 16), 16, layers_per_block=1, attention_head_dim=2, in_channels=8),
        "vae": kl_vae((8, 8, 16), scaling_factor=0.18215),
        "text_encoder": text(16, 2, "quick_gelu"),
        "tokenizer": "<|endoftext|>",
        "scheduler": scheduler("EulerAncestralDiscreteScheduler", timestep_spacing="linspace", steps_offset=1),
        "store": torch.float16,
    },
    "tiny-factor4": {
        "unet": unet(
            [CROSS, CROSS], (8, 16), 16, layers_per_block=1, mid_block_type=None, attention_head_dim=2,
            in_channels=6, out_channels=6,
        ),
        "vae": tiny_vae(3, latent=6),
        "store": torch.bfloat16,
    },
    "tiny-factor2": {"vae": tiny_vae(2, latent=3)},
    "tiny-kl-factor4": {"vae": kl_vae((4, 8, 12), latent=3, use_quant_conv=False, use_post_quant_conv=False)},
}  # fmt: skip

CLASSES = {
    "unet": ("diffusers", UNet2DConditionModel),
    "text_encoder": ("transformers", CLIPTextModel),
    "text_encoder_2": ("transformers", CLIPTextModelWithProjection),
}
# Latent sizes [batch, height, width]; 3x5 is not divisible by the UNet's own downsampling.
UNET_SIZES = {"8x8": (1, 8, 8), "3x5": (1, 3, 5), "6x10-batch2": (2, 6, 10)}
VAE_SIZES = {"4x4": (1, 4, 4), "3x5": (1, 3, 5), "3x2-batch2": (2, 3, 2)}
# Families whose weight files carry diffusers' `fp16` variant in their names.
VARIANT = {"tiny-sd21": ".fp16", "tiny-sdxl": ".fp16"}


def seed_of(family: str, component: str) -> int:
    return 1000 * list(FAMILIES).index(family) + sum(component.encode())


def build(component: str, config: dict, seed: int) -> torch.nn.Module:
    """The component with random weights, in f32."""
    if component == "vae":
        kind = AutoencoderTiny if "encoder_block_out_channels" in config else AutoencoderKL
        return randomise(kind(**config), seed)
    kind = CLASSES[component][1]
    return randomise(kind(CLIPTextConfig(**config)) if "text" in component else kind(**config), seed)


def rounded(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """The module in f32 with the values it has once stored as `dtype`."""
    return module.to(dtype).to(torch.float32)


def clip_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Adds the `text_model.` prefix that published checkpoints carry and this transformers version drops."""
    keep = ("text_model.", "text_projection")
    return {k if k.startswith(keep) else f"text_model.{k}": v for k, v in state.items()}


def save_component(
    folder: Path, module: torch.nn.Module, store: torch.dtype, variant: str = "", prefix: bool = True
) -> None:
    """Writes config.json and the weights under the file name that diffusers gives them."""
    shutil.rmtree(folder, ignore_errors=True)
    module.save_pretrained(folder)
    for written in folder.glob("*.safetensors"):
        written.unlink()
    is_text = "text" in folder.name
    stem = "model" if is_text else "diffusion_pytorch_model"
    state = {k: v.to(store).contiguous() for k, v in module.state_dict().items()}
    state = clip_names(state) if is_text and prefix else state
    save_file(state, folder / f"{stem}{variant}.safetensors", metadata={"format": "pt"})
    if isinstance(module, CLIPTextModelWithProjection | CLIPTextModel):
        tidy_text_config(folder / "config.json", module)


def tidy_text_config(path: Path, module: torch.nn.Module) -> None:
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "architectures": [type(module).__name__]}, indent=2) + "\n")


def labelled(case: str, *parts: cases.Tensors) -> cases.Tensors:
    return {f"{case}.{name}": tensor for part in parts for name, tensor in part.items()}


def component_inputs(name: str, config: dict, seed: int) -> dict[str, dict[str, cases.Tensors]]:
    """Inputs by the component's name in `laterna eval` and by case."""
    if name == "unet":
        rest = ((999, 77), (500.625, 13), (37, 77))
        sizes = zip(UNET_SIZES.items(), rest, strict=True)
        return {
            "unet": {
                case: cases.unet_inputs(config, seed + 10 * number, size, *more)
                for number, ((case, size), more) in enumerate(sizes)
            }
        }
    if name == "vae":
        sizes = list(enumerate(VAE_SIZES.items()))
        return {
            "vae.encode": {case: cases.image_inputs(config, seed + n, size) for n, (case, size) in sizes},
            "vae.decode": {case: cases.latent_inputs(config, seed + 10 + n, size) for n, (case, size) in sizes},
        }
    prompts = {"77": (1, 77, VOCAB - 1), "77-batch2": (2, 77, 0), "12": (1, 12, 0)}
    return {
        name: {
            case: cases.text_inputs(seed + length + batch, batch, length, pad, VOCAB)
            for case, (batch, length, pad) in prompts.items()
        }
    }


def index(components: dict) -> dict:
    """model_index.json as diffusers writes it for these components."""
    pipeline = "StableDiffusionXLPipeline" if "text_encoder_2" in components else "StableDiffusionPipeline"
    if components.get("unet", {}).get("in_channels") == 8:
        pipeline = "StableDiffusionInstructPix2PixPipeline"
    entries: dict[str, object] = {"_class_name": pipeline, "_diffusers_version": diffusers.__version__}
    for name, config in sorted(components.items()):
        if name in CLASSES:
            entries[name] = [CLASSES[name][0], CLASSES[name][1].__name__]
        elif name == "vae":
            tiny = "encoder_block_out_channels" in config
            entries[name] = ["diffusers", "AutoencoderTiny" if tiny else "AutoencoderKL"]
        elif name == "scheduler":
            entries[name] = ["diffusers", config["_class_name"]]
        elif name.startswith("tokenizer"):
            entries[name] = ["transformers", "CLIPTokenizer"]
    optional = {"safety_checker": [None, None], "feature_extractor": [None, None]}
    if "XL" in pipeline:
        return {**entries, "force_zeros_for_empty_prompt": True}
    return {**entries, **optional, "requires_safety_checker": False}


def write_component(folder: Path, name: str, config: dict, seed: int, store: torch.dtype) -> None:
    module = rounded(build(name, config, seed), store)
    # One family keeps the newer layout, in which the text encoder's names have no prefix.
    prefix = folder.name != "tiny-sd21"
    save_component(folder / name, module, store, VARIANT.get(folder.name, ""), prefix)
    for component, inputs in component_inputs(name, config, seed).items():
        io: cases.Tensors = {}
        for case, given in inputs.items():
            io |= labelled(case, given, cases.OUTPUTS[component](module, given))
        save_tensors(folder / "io" / f"{component}.safetensors", io, __file__)


def write_family(name: str, out: Path) -> None:
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    components = dict(FAMILIES[name])
    store = components.pop("store", torch.float32)
    for component, config in components.items():
        if component.startswith("tokenizer"):
            make_tokenizer.write(folder / component, pad=config)
        elif component == "scheduler":
            save_json(folder / component / "scheduler_config.json", config)
        else:
            write_component(folder, component, config, seed_of(name, component), store)
    save_json(folder / "model_index.json", index(components))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(FAMILIES))
    parser.add_argument("--out", type=Path, default=MODELS)
    arguments = parser.parse_args()
    for name in arguments.names or FAMILIES:
        write_family(name, arguments.out)
        print(name)
    save_json(arguments.out / "meta.json", {**meta(__file__), "vocabulary": VOCAB})


if __name__ == "__main__":
    main()
