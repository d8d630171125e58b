"""Writes fixtures/pictures: whole pictures by diffusers' pipelines on the fixture models, with the noise they used."""

import diffusers
import numpy as np
import torch
from PIL import Image

from common import FIXTURES, MODELS, generator, meta, save_json, save_tensors

FOLDER = FIXTURES / "pictures"
WIDTH, HEIGHT = 48, 40
PROMPT = "an oil painting of the old harbour at night"
NEGATIVE = "low quality, blurry"

# `latent` says what img2img starts from with an AutoencoderKL: the posterior's mean or a sample of it.
# `scheduler` is None for the checkpoint's own.
CASES: dict[str, dict] = {
    "sdxs-img2img": {"model": "tiny-sdxs", "steps": 1, "strength": 1.0, "guidance": 0.0},
    "sdxs-img2img-half": {"model": "tiny-sdxs", "steps": 4, "strength": 0.5, "guidance": 0.0},
    "sdxs-txt2img": {"model": "tiny-sdxs", "steps": 1, "guidance": 0.0},
    "sd15-img2img-ddim": {
        "model": "tiny-sd15", "steps": 8, "strength": 0.6, "guidance": 7.5, "negative": NEGATIVE,
        "scheduler": "DDIMScheduler", "latent": "mean",
    },
    "sd15-img2img-euler-sampled": {
        "model": "tiny-sd15", "steps": 6, "strength": 0.5, "guidance": 7.5, "negative": NEGATIVE,
        "scheduler": "EulerDiscreteScheduler", "latent": "sample",
    },
    "sd15-img2img-pndm": {
        "model": "tiny-sd15", "steps": 6, "strength": 0.7, "guidance": 3.0, "negative": "", "latent": "mean",
    },
    "sd15-txt2img-dpm": {
        "model": "tiny-sd15", "steps": 5, "guidance": 7.5, "negative": NEGATIVE,
        "scheduler": "DPMSolverMultistepScheduler",
    },
    "sdxl-txt2img": {"model": "tiny-sdxl", "steps": 3, "guidance": 5.0, "negative": NEGATIVE},
    "sdxl-img2img": {
        "model": "tiny-sdxl", "steps": 4, "strength": 0.5, "guidance": 5.0, "negative": None, "latent": "mean",
    },
    "ip2p-euler": {
        "model": "tiny-ip2p", "steps": 4, "guidance": 7.5, "image_guidance": 1.5, "negative": "",
        "scheduler": "EulerDiscreteScheduler",
    },
    "ip2p-ancestral": {"model": "tiny-ip2p", "steps": 4, "guidance": 7.5, "image_guidance": 1.5, "negative": ""},
}  # fmt: skip


def scene() -> Image.Image:
    """A sun over hills, with enough edges and gradients to tell a shifted or flipped picture."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    sky = np.stack([90 + 2.2 * y, 130 + 1.1 * y, 210 - 1.4 * y + 0.3 * x], axis=-1)
    sun = ((x - 34) ** 2 + (y - 11) ** 2 < 36)[..., None]
    hills = (y > 28 + 5 * np.sin(x / 7) - x / 12)[..., None]
    ground = np.stack([40 + x, 95 + 25 * np.sin(x / 3), 30 + y], axis=-1)
    picture = np.where(hills, ground, np.where(sun, (250, 225, 120), sky))
    return Image.fromarray(picture.clip(0, 255).round().astype(np.uint8))


def pipeline(case: dict) -> diffusers.DiffusionPipeline:
    model = case["model"]
    variant = "fp16" if model == "tiny-sdxl" else None
    loaded = diffusers.DiffusionPipeline.from_pretrained(MODELS / model, dtype=torch.float32, variant=variant)
    if name := case.get("scheduler"):
        loaded.scheduler = getattr(diffusers, name).from_config(loaded.scheduler.config)
    if "strength" in case:
        loaded = diffusers.AutoPipelineForImage2Image.from_pipe(loaded)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def noises(pipe: diffusers.DiffusionPipeline, case: dict, seed: int) -> dict[str, torch.Tensor]:
    """The draws that the pipeline makes from generator(seed), in its order."""
    source = generator(seed)
    factor = pipe.vae_scale_factor
    shape = (1, pipe.vae.config.latent_channels, HEIGHT // factor, WIDTH // factor)
    drawn = {}
    if case.get("latent") == "sample":
        drawn["vae_noise"] = torch.randn(shape, generator=source)
    drawn["noise"] = torch.randn(shape, generator=source)
    if "Ancestral" in type(pipe.scheduler).__name__:
        drawn["step_noise"] = torch.stack([torch.randn(shape, generator=source) for _ in range(case["steps"])])
    return drawn


def mean_latent(pipe: diffusers.DiffusionPipeline, picture: Image.Image) -> torch.Tensor:
    """The scaled mean, which img2img pipelines take in place of a picture."""
    image = pipe.image_processor.preprocess(picture)
    return pipe.vae.encode(image).latent_dist.mean * pipe.vae.config.scaling_factor


def arguments(pipe: diffusers.DiffusionPipeline, case: dict, picture: Image.Image) -> dict:
    call = {
        "prompt": PROMPT,
        "negative_prompt": case.get("negative"),
        "num_inference_steps": case["steps"],
        "guidance_scale": case["guidance"],
        "output_type": "pt",
    }
    if "strength" in case:
        call |= {"strength": case["strength"], "image": picture}
        if case.get("latent") == "mean":
            call["image"] = mean_latent(pipe, picture)
    elif "image_guidance" in case:
        call |= {"image_guidance_scale": case["image_guidance"], "image": picture}
    else:
        call |= {"height": HEIGHT, "width": WIDTH}
    return call


def run(name: str, case: dict, seed: int, picture: Image.Image) -> None:
    pipe = pipeline(case)
    drawn = noises(pipe, case, seed)
    source = generator(seed)
    out = pipe(**arguments(pipe, case, picture), generator=source).images
    follow_up = torch.randn(4, generator=source)
    replayed = generator(seed)
    for tensor in drawn.values():
        for _ in range(tensor.shape[0]):
            torch.randn(drawn["noise"].shape, generator=replayed)
    assert torch.equal(follow_up, torch.randn(4, generator=replayed)), "the pipeline drew other noise than recorded"
    save_tensors(FOLDER / f"{name}.safetensors", {**drawn, "picture": out}, __file__)
    pixels = (out[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(FOLDER / f"{name}.png")
    clipped = ((out <= 0) | (out >= 1)).float().mean()
    print(f"{name}: mean {out.mean():.3f}, deviation {out.std():.3f}, clipped {clipped:.1%}")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = scene()
    picture.save(FOLDER / "scene.png")
    for number, (name, case) in enumerate(CASES.items()):
        run(name, case, 500 + number, picture)
    common = {"prompt": PROMPT, "input": "scene.png", "width": WIDTH, "height": HEIGHT}
    listing = {
        name: {**common, "negative": None, "scheduler": None, "strength": None, **c} for name, c in CASES.items()
    }
    save_json(FOLDER / "cases.json", {"meta": meta(__file__), "cases": listing})


if __name__ == "__main__":
    main()
