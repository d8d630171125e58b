"""What both training scripts share: processes, a loop bounded by time, averaged weights, checkpoints that resume."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

SHOW_EVERY = 200
SAVE_EVERY_S = 60
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Place:
    """This process among those that train together."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls) -> "Place":
        rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", rank) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
            torch.backends.cudnn.benchmark = True
        if count > 1:
            dist.init_process_group("nccl" if cuda else "gloo")
        return cls(rank, count, device)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        if self.count == 1:
            return
        flat = torch.cat([p.grad.flatten() for p in parameters])
        dist.all_reduce(flat)
        flat /= self.count
        for p, g in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            p.grad.copy_(g.view_as(p.grad))

    def leave(self) -> None:
        """Ends the process. Tearing NCCL down beside recorded graphs can hang, and everything is written."""
        if self.count > 1:
            sys.stdout.flush()
            os._exit(0)

    def agree(self, value: float) -> float:
        """The first process's value."""
        tensor = torch.tensor([value], dtype=torch.float64, device=self.device)
        if self.count > 1:
            dist.broadcast(tensor, 0)
        return float(tensor)


def compiled(function: Callable, *, enabled: bool) -> Callable:
    return torch.compile(function, dynamic=False) if enabled else function


class Recorded:
    """A function whose kernels are recorded on its first call and replayed on later ones, of the same shapes.

    What consists of a thousand small kernels would otherwise wait for its own launches.
    """

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        self.function, self.graph = function, None

    @torch.no_grad()
    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        if inputs[0].device.type != "cuda":
            return self.function(*inputs)
        if self.graph is None:
            self._record(inputs)
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given)
        self.graph.replay()
        return self.output.clone()

    def _record(self, inputs: tuple[torch.Tensor, ...]) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = self.function(*self.inputs)


class Trainer:
    """Adam over a time budget, with an exponential average of the weights."""

    def __init__(self, module: nn.Module, place: Place, *, rate: tuple[float, float], average: float = 0.999) -> None:
        self.module, self.place, self.rate, self.average = module, place, rate, average
        self.parameters = list(module.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=rate[0], betas=(0.9, 0.99), weight_decay=1e-4, fused=place.device.type == "cuda"
        )
        self.mean = [p.detach().clone() for p in self.parameters]
        self.steps = 0

    def run(self, step: Callable[[], dict[str, torch.Tensor]], deadline: float, folder: Path) -> None:
        """Repeats a step, which returns losses of which `loss` is minimised, until the clock shows the deadline.

        The rate warms up for 100 steps and falls along half a cosine to its last value as the time passes. Saves to
        the folder every minute and at the end.
        """
        start, sums, shown, saved = None, {}, time.time(), time.time()
        first = self.steps
        while True:
            now = self.place.agree(time.time())
            if now >= deadline:
                break
            if now >= saved + SAVE_EVERY_S:
                saved = now
                self.save(folder)
            self._set_rate((now - start) / (deadline - start) if start else 0.0, self.steps - first)
            losses = step()
            losses["loss"].backward()
            self.place.average_gradients(self.parameters)
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self._update_mean()
            self.steps += 1
            # Compilation happens in the first step and is not training time.
            start = start or time.time()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach()
            if self.steps % SHOW_EVERY == 0 or self.steps == first + 1:
                count = min(SHOW_EVERY, self.steps - first)
                shares = "  ".join(f"{name} {float(value) / count:.4f}" for name, value in sums.items())
                if self.place.rank == 0:
                    print(f"{self.steps:6d}  {shares}  {count / (time.time() - shown):.1f} steps/s", flush=True)
                sums, shown = {}, time.time()
        self.save(folder)

    def _set_rate(self, part: float, since: int) -> None:
        first, last = self.rate
        turned = 0.5 * (1 + torch.cos(torch.tensor(part * torch.pi)).item())
        for group in self.optimizer.param_groups:
            group["lr"] = (last + (first - last) * turned) * min(1.0, (since + 1) / 100)

    def _update_mean(self) -> None:
        kept = min(self.average, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.parameters], 1 - kept)

    def averaged(self) -> dict[str, torch.Tensor]:
        names = [name for name, _ in self.module.named_parameters()]
        return dict(zip(names, self.mean, strict=True))

    def save(self, folder: Path) -> None:
        """Averaged and latest weights and the optimizer's moments, in files that are small enough to be moved about."""
        if self.place.rank:
            return
        folder.mkdir(parents=True, exist_ok=True)
        latest = {name: p.detach() for name, p in self.module.named_parameters()}
        torch.save({"averaged": _cpu(self.averaged()), "steps": self.steps}, folder / "averaged.pt")
        torch.save(_cpu(latest), folder / "latest.pt")
        state = [self.optimizer.state[p] for p in self.parameters]
        for key in MOMENTS:
            torch.save([s[key].cpu() for s in state], folder / f"{key}.pt")

    def resume(self, folder: Path) -> None:
        """Goes on from what `save` wrote; with averaged.pt alone, from those weights with new moments."""
        averaged = torch.load(folder / "averaged.pt")
        self.steps, averaged = averaged["steps"], averaged["averaged"]
        whole = (folder / "latest.pt").is_file()
        latest = torch.load(folder / "latest.pt") if whole else averaged
        with torch.no_grad():
            for (name, p), mean in zip(self.module.named_parameters(), self.mean, strict=True):
                p.copy_(latest[name])
                mean.copy_(averaged[name])
        moments = {key: torch.load(folder / f"{key}.pt") for key in MOMENTS} if whole else {}
        for index, p in enumerate(self.parameters if whole else ()):
            state = {key: value[index].to(p) for key, value in moments.items()}
            self.optimizer.state[p] = {"step": torch.tensor(float(self.steps)).to(p.device), **state}


def _cpu(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """What a run of either script is bounded by and made of."""
    parser.add_argument("--resume", type=Path, help="folder that an earlier run wrote")
    parser.add_argument("--seconds", type=float, default=540, help="from start to end, compilation included")
    parser.add_argument("--side", type=int, default=256, help="of a crop, in pixels")
    parser.add_argument("--crops", type=int, default=16, help="of each photo")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)


def write_options(folder: Path, options: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(vars(options), indent=1, default=str)
    (folder / "options.json").write_text(text + "\n")
