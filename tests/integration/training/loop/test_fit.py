"""The training loop: resumed as if nothing had been, exact in what it keeps, refusing what does not belong."""

import csv
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.loop.config import DeviceConfig, LoopConfig
from training.loop.fit import Fitting, fit, load_weights

LOOP = LoopConfig(epochs=4, batch=8, rate=0.01, final_rate=0.001, threads=1)


class StoppedError(Exception):
    """Stands for whatever ends a process in the middle."""


def network() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


def batches(epoch: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(epoch)
    inputs = torch.randn(3, 8, 3, generator=generator)
    return [(x, (x.sum(1) > 0).long()) for x in inputs]


def fitting(folder: Path, **changes) -> Fitting:
    counter = itertools.count()
    values = {
        "name": "toy",
        "folder": folder,
        "digest": "recipe",
        "seed": 1,
        "loop": LOOP,
        "device": DeviceConfig(accelerator="cpu"),
        "batches": batches,
        "batches_per_epoch": 3,
        "loss": F.cross_entropy,
        "validate": lambda _net: {"epoch_seen": float(next(counter))},
    }
    return Fitting(**(values | changes))


def state(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one) and list(one) == list(other)


def test_a_stopped_run_ends_as_an_undisturbed_one(tmp_path):
    whole = state(fit(network(), fitting(tmp_path / "whole")))

    def stopping(epoch: int):
        for index, batch in enumerate(batches(epoch)):
            if epoch == 2 and index == 1:
                raise StoppedError
            yield batch

    with pytest.raises(StoppedError):
        fit(network(), fitting(tmp_path / "stopped", batches=stopping))
    assert same(state(fit(network(), fitting(tmp_path / "stopped"))), whole)
    for name in ("whole", "stopped"):
        with (tmp_path / name / "log.csv").open() as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


def test_what_ended_is_not_run_again(tmp_path):
    first = fit(network(), fitting(tmp_path)).read_bytes()

    def never(_epoch: int):
        raise AssertionError("an epoch was run again")

    assert fit(network(), fitting(tmp_path, batches=never)).read_bytes() == first


def test_the_best_epoch_is_kept(tmp_path):
    seen: list[dict[str, Tensor]] = []
    scores = iter([0.1, 0.9, 0.5, 0.9])

    def validate(net: nn.Module) -> dict[str, float]:
        assert not net.training
        seen.append({name: value.clone() for name, value in net.state_dict().items()})
        return {"f1": next(scores)}

    kept = state(fit(network(), fitting(tmp_path, validate=validate, keep="f1")))
    assert same(kept, seen[1])
    assert not same(kept, seen[3])


def test_another_recipe_is_refused(tmp_path):
    fit(network(), fitting(tmp_path))
    with pytest.raises(ValueError, match="another recipe"):
        fit(network(), fitting(tmp_path, digest="other"))


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="not finite"):
        fit(network(), fitting(tmp_path, loss=lambda out, target: F.cross_entropy(out, target) * torch.inf))
    assert not (tmp_path / "weights.pt").exists()


def test_the_rate_falls_as_the_recipe_says(tmp_path):
    fit(network(), fitting(tmp_path))
    with (tmp_path / "log.csv").open() as file:
        rates = [float(row["rate"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([0.01 * 0.1 ** ((epoch + 2 / 3) / 4) for epoch in range(4)], rel=1e-4)
    assert list((tmp_path / "events").iterdir())


def test_weights_are_loaded_in_eval_mode(tmp_path):
    net = load_weights(network(), fit(network(), fitting(tmp_path)))
    assert not net.training


def test_a_gpu_that_is_not_there_is_not_replaced(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="a GPU was asked for"):
        fit(network(), fitting(tmp_path, device=DeviceConfig(accelerator="gpu")))


def test_a_wrong_number_of_batches_is_told(tmp_path):
    with pytest.raises(ValueError, match="3 batches and not 5"):
        fit(network(), fitting(tmp_path, batches_per_epoch=5))
