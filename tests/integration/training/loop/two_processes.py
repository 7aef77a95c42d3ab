"""A script that `test_several_processes` starts: one epoch on two processes, as Fabric starts them on two GPUs."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.loop.config import DeviceConfig, LoopConfig
from training.loop.fit import Fitting, fit

LOOP = LoopConfig(epochs=2, batch=8, rate=0.01, final_rate=0.001, threads=1)


def network() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


def halves(epoch: int) -> list[tuple[Tensor, Tensor]]:
    """Four batches of an epoch; on two processes every step takes two of them."""
    inputs = torch.randn(4, 8, 3, generator=torch.Generator().manual_seed(epoch))
    return [(x, (x.sum(1) > 0).long()) for x in inputs]


def joined(epoch: int) -> list[tuple[Tensor, Tensor]]:
    """The same rows in two batches of twice the size."""
    parts = halves(epoch)
    return [(torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]])) for a, b in (parts[:2], parts[2:])]


def fitting(folder: Path, devices: int) -> Fitting:
    return Fitting(
        name="toy",
        folder=folder,
        digest="recipe",
        seed=1,
        loop=LOOP,
        device=DeviceConfig(accelerator="cpu", devices=devices),
        batches=halves if devices == 2 else joined,
        batches_per_epoch=4 if devices == 2 else 2,
        loss=F.cross_entropy,
        validate=lambda _net: {"zero": 0.0},
    )


if __name__ == "__main__":
    fit(network(), fitting(Path(sys.argv[1]), 2))
