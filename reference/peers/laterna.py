"""laterna as one more engine: its own bench for time, its components chained by eval for the numbers."""

import json
import subprocess
from pathlib import Path

import torch
from frame import TIMESTEP, Frame
from safetensors.torch import load_file, save_file


def bench(binary: Path, model: Path, size: int, frames: int, threads: int, precision: str) -> dict:
    """What `laterna bench --json` prints; `frame.median_ms` is the whole frame's time."""
    command = [binary, "bench", "--model", model, "--size", size, "--frames", frames, "--threads", threads]
    command += ["--precision", precision, "--json"]
    out = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout
    # A record is of no machine's folders.
    return json.loads(out) | {"model": model.name}


def evaluate(command: list, component: str, inputs: dict[str, torch.Tensor], folder: Path) -> torch.Tensor:
    """The one tensor that the component writes."""
    given, written = folder / "inputs.safetensors", folder / "outputs.safetensors"
    save_file({name: value.contiguous() for name, value in inputs.items()}, given)
    command = [*command, "--component", component, "--inputs", given, "--outputs", written]
    subprocess.run([*map(str, command)], check=True)
    (output,) = load_file(written).values()
    return output


def frame(binary: Path, model: Path, torch_frame: Frame, image: torch.Tensor, folder: Path, precision: str) -> tuple:
    """(picture, eps) with the noise and prompt of `torch_frame`."""
    command = [binary, "eval", "--model", model, "--precision", precision]
    signal, spread = torch_frame.signal, torch_frame.spread
    latent = evaluate(command, "vae.encode", {"image": image}, folder)
    z = signal * latent + spread * torch_frame.noise
    inputs = {"sample": z, "timestep": torch.tensor([TIMESTEP]), "encoder_hidden_states": torch_frame.prompt}
    eps = evaluate(command, "unet", inputs, folder)
    x0 = (z - spread * eps) / signal
    return evaluate(command, "vae.decode", {"latent": x0}, folder).numpy(), eps.numpy()


def paint(binary: Path, photo: Path, prompt: str, size: int, precision: str, output: Path) -> None:
    """The built-in model's picture of a photograph, size x size, written to `output`."""
    command = [binary, "image", "--quiet", "--input", photo, "--prompt", prompt, "--size", f"{size}x{size}"]
    subprocess.run([*map(str, command), "--precision", precision, "--output", str(output)], check=True)


def version(binary: Path) -> str:
    return subprocess.run([str(binary), "--version"], check=True, capture_output=True, text=True).stdout.strip()
