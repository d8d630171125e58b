"""What every fixture script shares: where fixtures live, seeded weights, and files that name their origin."""

import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch
import transformers
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
MODELS = FIXTURES / "models"

# Gains of the weight matrices that would otherwise leave a softmax almost flat.
SHARP = ("to_q", "to_k", "q_proj", "k_proj")

diffusers.logging.set_verbosity_error()
transformers.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.disable_progress_bar()
torch.set_grad_enabled(False)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed))


def versions() -> dict[str, str]:
    return {m.__name__: m.__version__ for m in (torch, diffusers, transformers)}


def meta(script: str) -> dict[str, str]:
    """The header that every safetensors fixture carries: one entry, since their order on disk is not fixed."""
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    place = Path(script).resolve().relative_to(FIXTURES.parent).as_posix()
    return {"origin": f"{place}; {made_with}"}


def randomise(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Fills every parameter so that none is zero, one or symmetric and activations stay near unit size."""
    source = generator(seed)
    for name, parameter in sorted(module.named_parameters()):
        parameter.copy_(_values(name, parameter.shape, source))
    return module.eval()


def _values(name: str, shape: torch.Size, source: torch.Generator) -> torch.Tensor:
    noise = torch.randn(shape, generator=source)
    if len(shape) < 2:
        return 1 + 0.2 * noise if name.endswith("weight") else 0.1 * noise
    if "embedding.weight" in name:
        return 0.5 * noise
    fan_in = noise[0].numel()
    return noise * (_gain(name) / fan_in**0.5)


def _gain(name: str) -> float:
    if any(part in name for part in SHARP):
        return 1.25
    # Keeps most of a decoded picture within [-1, 1].
    return 0.4 if name.startswith("decoder.conv_out") else 0.9


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    owned = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save_file(owned, path, metadata=meta(script))


def save_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
