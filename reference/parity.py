"""Compares a built laterna with PyTorch, component by component, on configurations that no fixture has."""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

import cases
import make_full_size
import make_models
from common import save_tensors

LIMIT, FULL_SIZE_LIMIT = 2e-5, 1e-4
PRIMARY = {
    "unet": "out_sample",
    "vae.encode": "latent",
    "vae.decode": "image",
    "text_encoder": "last_hidden_state",
}


@dataclass
class Check:
    """One component call: what to run, on which tensors, and what PyTorch gives in f32 and, if cheap, in f64."""

    label: str
    model: Path
    component: str
    inputs: cases.Tensors
    expected: torch.Tensor
    exact: torch.Tensor | None


def evaluate(binary: Path, check: Check, folder: Path) -> cases.Tensors:
    """What `laterna eval` writes for the check's inputs."""
    given, written = folder / "inputs.safetensors", folder / "outputs.safetensors"
    written.unlink(missing_ok=True)
    save_tensors(given, check.inputs, __file__)
    command = [binary, "eval", "--model", check.model, "--component", check.component]
    subprocess.run([*command, "--inputs", given, "--outputs", written], check=True)
    return load_file(written)


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    """max |value - expected| / max |expected|; infinite for another shape or a NaN."""
    if value.shape != expected.shape or not torch.isfinite(value).all():
        return float("inf")
    return ((value.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


def report(binary: Path, check: Check, limit: float, folder: Path) -> bool:
    """Prints the check's row: shape, PyTorch's own distance from f64, laterna's from PyTorch."""
    own = f"{relative_error(check.expected, check.exact):.1e}" if check.exact is not None else "-"
    shape = "x".join(map(str, check.expected.shape))
    head = f"{check.label:<32} {check.component:<13} {shape:<14} {own:<8}"
    try:
        error = relative_error(evaluate(binary, check, folder)[PRIMARY[check.component]], check.expected)
    except (subprocess.CalledProcessError, KeyError) as failure:
        print(f"{head} failed: {failure!r:.60}", flush=True)
        return False
    print(f"{head} {error:.1e} {'ok' if error <= limit else f'above {limit:.0e}'}", flush=True)
    return error <= limit


def head_counts(pick: random.Random, channels: list[int]) -> list[int]:
    return [pick.choice([n for n in (1, 2, 3, 4, 5, 8) if width % n == 0]) for width in channels]


def random_unet(pick: random.Random) -> dict:
    """Any number of levels, widths that are no powers of two, every kind of projection and text conditioning."""
    levels, groups = pick.randint(2, 4), pick.choice((2, 4, 5, 8))
    channels = [groups * pick.randint(2, 5) for _ in range(levels)]
    blocks = [pick.choice((make_models.CROSS, make_models.PLAIN)) for _ in range(levels - 1)]
    latent = pick.choice((3, 4, 8, 16))
    config = make_models.unet(
        [*blocks, make_models.CROSS],
        tuple(channels),
        pick.choice((12, 24, 33)),
        norm_num_groups=groups,
        layers_per_block=pick.randint(1, 3),
        attention_head_dim=head_counts(pick, channels),
        use_linear_projection=pick.random() < 0.5,
        only_cross_attention=[pick.random() < 0.3 for _ in channels],
        in_channels=latent * pick.choice((1, 1, 2)),
        out_channels=latent,
        mid_block_type=pick.choice((None, "UNetMidBlock2DCrossAttn")),
    )
    if pick.random() < 0.3:
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 12}
        config |= {"projection_class_embeddings_input_dim": 6 * 12 + 20}
        config |= {"transformer_layers_per_block": [pick.randint(1, 3) for _ in channels]}
    return config


def random_vae(pick: random.Random) -> dict:
    levels, latent = pick.randint(2, 4), pick.choice((3, 4, 8, 16))
    if pick.random() < 0.5:
        return make_models.tiny_vae(levels, width=pick.choice((6, 10, 20)), latent=latent)
    groups = pick.choice((2, 3, 4))
    channels = tuple(groups * pick.randint(2, 4) for _ in range(levels))
    return make_models.kl_vae(channels, latent=latent, norm_num_groups=groups, layers_per_block=pick.randint(1, 2))


def random_text(pick: random.Random) -> dict:
    heads = pick.choice((1, 2, 3, 5))
    layers = pick.randint(1, 4)
    return make_models.text(
        heads * pick.choice((4, 6, 9)), heads, pick.choice(("gelu", "quick_gelu")), num_hidden_layers=layers
    )


def random_size(pick: random.Random) -> tuple[int, int, int]:
    """[batch, height, width] of a latent."""
    return pick.choice((1, 1, 2)), pick.randint(5, 13), pick.randint(5, 13)


def random_inputs(name: str, config: dict, pick: random.Random) -> dict[str, cases.Tensors]:
    """Inputs by the component's name in `laterna eval`."""
    seed = pick.randrange(10**6)
    if name == "unet":
        timestep = pick.choice((pick.randrange(1000), pick.uniform(0, 999)))
        return {"unet": cases.unet_inputs(config, seed, random_size(pick), timestep, pick.choice((1, 20, 77)))}
    if name == "vae":
        return {
            "vae.encode": cases.image_inputs(config, seed, random_size(pick)),
            "vae.decode": cases.latent_inputs(config, seed, random_size(pick)),
        }
    return {name: cases.text_inputs(seed, pick.randint(1, 2), pick.choice((9, 77)), 0, config["vocab_size"])}


def doubled(tensors: cases.Tensors) -> cases.Tensors:
    return {name: value.double() if value.is_floating_point() else value for name, value in tensors.items()}


def check(
    label: str, model: Path, component: str, module: torch.nn.Module, inputs: cases.Tensors, exact: bool
) -> Check:
    call, primary = cases.OUTPUTS[component], PRIMARY[component]
    expected = call(module, inputs)[primary]
    precise = call(module.double(), doubled(inputs))[primary] if exact else None
    module.float()
    return Check(label, model, component, inputs, expected, precise)


def random_checks(count: int, seed: int, folder: Path) -> Iterator[Check]:
    makers = {"unet": random_unet, "vae": random_vae, "text_encoder": random_text}
    for number in range(count):
        pick = random.Random(seed * 1000 + number)
        name = list(makers)[(0, 1, 0, 1, 0, 2)[number % 6]]
        config = makers[name](pick)
        store = pick.choice((torch.float32, torch.float32, torch.float16, torch.bfloat16))
        module = make_models.rounded(make_models.build(name, config, number), store)
        model = folder / f"model{number}"
        make_models.save_component(model / name, module, store)
        label = f"{number} {config.get('block_out_channels', '')} {str(store).removeprefix('torch.')}"
        for component, inputs in random_inputs(name, config, pick).items():
            yield check(label, model, component, module, inputs, exact=True)


def full_size_inputs(name: str, config: dict) -> dict[str, cases.Tensors]:
    """A 512x512 picture's."""
    size = (1, 64, 64)
    if name == "unet":
        return {"unet": cases.unet_inputs(config, 1, size)}
    if name == "vae":
        return {"vae.encode": cases.image_inputs(config, 2, size), "vae.decode": cases.latent_inputs(config, 3, size)}
    return {name: cases.text_inputs(4, 1, 77, 0, config["vocab_size"])}


def full_size_checks(folder: Path) -> Iterator[Check]:
    """SDXS-512-0.9 and SD-Turbo as they are, one component on disk at a time."""
    for checkpoint, components in make_full_size.CHECKPOINTS.items():
        for name, config in components.items():
            if name == "scheduler":
                continue
            module = make_models.build(name, config, seed=7)
            make_models.save_component(folder / checkpoint / name, module, torch.float32)
            for component, inputs in full_size_inputs(name, config).items():
                yield check(checkpoint, folder / checkpoint, component, module, inputs, exact=False)
            shutil.rmtree(folder / checkpoint / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("laterna", type=Path, help="the binary")
    parser.add_argument("--count", type=int, default=36, help="random configurations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full-size", action="store_true", help="the real configurations instead (needs 12 GB)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        random_ones = random_checks(arguments.count, arguments.seed, folder)
        checks = full_size_checks(folder) if arguments.full_size else random_ones
        limit = FULL_SIZE_LIMIT if arguments.full_size else LIMIT
        passed = [report(arguments.laterna.resolve(), one, limit, folder) for one in checks]
    print(f"{sum(passed)} of {len(passed)} within {limit:.0e}")
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
