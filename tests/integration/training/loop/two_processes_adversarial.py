"""A script that `test_adversarial` starts: a toy of generators and a judge on two processes, as Fabric starts them."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from training.loop.adversarial import AdversarialFitting, Made, fit_adversarial
from training.loop.config import DeviceConfig


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(7)
    return {name: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)) for name in ("forth", "back")} | {
        "judge": nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    }


def generate(nets, batch) -> Made:
    """Fooling the judge, and back to where one came from."""
    made = nets["forth"](batch[0])
    fooled = (nets["judge"](made) - 1).square().mean()
    cycle = (nets["back"](made) - batch[0]).abs().mean()
    return Made(fooled + 5 * cycle, {"fooled": float(fooled.detach())}, {"made": made})


def discriminate(nets, batch, made: Made) -> tuple[Tensor, dict[str, float]]:
    real = (nets["judge"](batch[1]) - 1).square().mean()
    false = nets["judge"](made.images["made"]).square().mean()
    return real + false, {"real": float(real.detach())}


def halves(epoch: int) -> list[tuple[Tensor, ...]]:
    """Four batches of an epoch; on two processes every step takes two of them."""
    inputs = torch.randn(4, 8, 3, generator=torch.Generator().manual_seed(epoch))
    return [(x, 2 * x + 1) for x in inputs]


def joined(epoch: int) -> list[tuple[Tensor, ...]]:
    """The same rows in two batches of twice the size."""
    parts = halves(epoch)
    return [tuple(torch.cat(pair) for pair in zip(a, b, strict=True)) for a, b in (parts[:2], parts[2:])]


def fitting(folder: Path, devices: int) -> AdversarialFitting:
    return AdversarialFitting(
        name="toy",
        folder=folder,
        digest="recipe",
        seed=1,
        epochs=2,
        threads=1,
        device=DeviceConfig(accelerator="cpu", devices=devices),
        rate=lambda _done: 0.01,
        betas=(0.5, 0.999),
        batches=halves if devices == 2 else joined,
        batches_per_epoch=4 if devices == 2 else 2,
        generators=("forth", "back"),
        discriminators=("judge",),
        generate=generate,
        discriminate=discriminate,
        validate=lambda _nets, _epoch: {},
    )


if __name__ == "__main__":
    fit_adversarial(networks(), fitting(Path(sys.argv[1]), 2))
