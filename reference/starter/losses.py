"""Losses: LPIPS on AlexNet, and the distance between changes that keeps a video calm."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

# AlexNet's convolutions by their index in torchvision: stride and padding, and whether pooling comes first.
LAYERS = {0: (4, 2, False), 3: (1, 2, True), 6: (1, 1, True), 8: (1, 1, False), 10: (1, 1, False)}


class Lpips(nn.Module):
    """Zhang et al. 2018 (arXiv 1801.03924), version 0.1, AlexNet. Pictures are in 0..1; returns [batch]."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        for name, tensor in load_file(weights).items():
            self.register_buffer(name.replace(".", "_"), tensor.float())
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def features(self, picture: torch.Tensor) -> list[torch.Tensor]:
        x, found = (2 * picture - 1 - self.shift) / self.scale, []
        for index, (stride, padding, pooled) in LAYERS.items():
            x = F.max_pool2d(x, 3, 2) if pooled else x
            weight, bias = getattr(self, f"features_{index}_weight"), getattr(self, f"features_{index}_bias")
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            found.append(x * torch.rsqrt((x.float() ** 2).sum(1, keepdim=True) + 1e-10))
        return found

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        distance = 0.0
        for level, (x, y) in enumerate(zip(self.features(a), self.features(b), strict=True)):
            weight = getattr(self, f"lin{level}_model_1_weight")
            distance = distance + (weight * (x.float() - y.float()) ** 2).sum(1).mean((1, 2))
        return distance


def change_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """For pairs of moments, first halves before second: the output must change as the target does, no more."""
    (a, b), (c, d) = output.chunk(2), target.chunk(2)
    return ((b - a) - (d - c)).abs().mean()
