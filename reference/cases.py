"""Seeded inputs for one call of a component, and what PyTorch makes of them, under the names of `laterna eval`."""

import torch

from common import generator, randn

Tensors = dict[str, torch.Tensor]
Size = tuple[int, int, int]  # [batch, height, width] of a latent


def unet_inputs(config: dict, seed: int, size: Size, timestep: float = 999, tokens: int = 77) -> Tensors:
    """An integer timestep is stored as I64, a float as F32."""
    batch, height, width = size
    inputs = {
        "sample": randn(seed, batch, config.get("in_channels", 4), height, width),
        "timestep": torch.tensor([timestep]),
        "encoder_hidden_states": randn(seed + 1, batch, tokens, config["cross_attention_dim"]),
    }
    if config.get("addition_embed_type") == "text_time":
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        ids = torch.tensor([[64.0, 96.0, 0.0, 8.0, 512.0, 768.0]]).repeat(batch, 1)
        inputs |= {"text_embeds": randn(seed + 2, batch, pooled), "time_ids": ids}
    return inputs


def image_inputs(config: dict, seed: int, size: Size) -> Tensors:
    batch, height, width = size
    factor = vae_factor(config)
    return {"image": torch.tanh(randn(seed, batch, 3, height * factor, width * factor))}


def latent_inputs(config: dict, seed: int, size: Size) -> Tensors:
    batch, height, width = size
    return {"latent": randn(seed, batch, config.get("latent_channels", 4), height, width)}


def text_inputs(seed: int, batch: int, length: int, pad: int, vocab: int) -> Tensors:
    """Ids of made-up prompts of different lengths: start, words, end, padding."""
    source = generator(seed)
    rows = []
    for row in range(batch):
        count = length - 2 - (5 * row + 3) % (length - 2)
        words = torch.randint(1, vocab - 2, (count,), generator=source).tolist()
        ids = [vocab - 2, *words, vocab - 1]
        rows.append(ids + [pad] * (length - len(ids)))
    return {"input_ids": torch.tensor(rows)}


def vae_factor(config: dict) -> int:
    levels = len(config.get("encoder_block_out_channels") or config["block_out_channels"])
    return 2 ** (levels - 1)


def unet_outputs(model: torch.nn.Module, inputs: Tensors) -> Tensors:
    added = {name: inputs[name] for name in ("text_embeds", "time_ids") if name in inputs}
    plain = [inputs[name] for name in ("sample", "timestep", "encoder_hidden_states")]
    return {"out_sample": model(*plain, added_cond_kwargs=added or None).sample}


def encode_outputs(model: torch.nn.Module, inputs: Tensors) -> Tensors:
    encoded = model.encode(inputs["image"])
    return {"latent": encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mean}


def decode_outputs(model: torch.nn.Module, inputs: Tensors) -> Tensors:
    return {"image": model.decode(inputs["latent"]).sample}


def text_outputs(model: torch.nn.Module, inputs: Tensors) -> Tensors:
    """The penultimate state is the last layer's input, before the final norm."""
    out = model(inputs["input_ids"], output_hidden_states=True)
    pooled = "text_embeds" if hasattr(out, "text_embeds") else "pooler_output"
    return {
        "last_hidden_state": out.last_hidden_state,
        "penultimate_hidden_state": out.hidden_states[-2],
        pooled: getattr(out, pooled),
    }


OUTPUTS = {
    "unet": unet_outputs,
    "vae.encode": encode_outputs,
    "vae.decode": decode_outputs,
    "text_encoder": text_outputs,
    "text_encoder_2": text_outputs,
}
