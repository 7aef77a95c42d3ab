"""The adversarial loop: resumed as if nothing had been, each half of a step moving its own networks only."""

import csv
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.integration.training.loop.two_processes_adversarial import discriminate, generate, networks
from tests.integration.training.loop.two_processes_adversarial import fitting as two_process_fitting
from training.loop.adversarial import AdversarialFitting, Made, fit_adversarial
from training.loop.config import DeviceConfig


class StoppedError(Exception):
    """Stands for whatever ends a process in the middle."""


def batches(epoch: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(epoch)
    return [(x, 2 * x + 1) for x in torch.randn(3, 8, 3, generator=generator)]


def fitting(folder: Path, **changes) -> AdversarialFitting:
    values = {
        "name": "toy",
        "folder": folder,
        "digest": "recipe",
        "seed": 1,
        "epochs": 4,
        "threads": 1,
        "device": DeviceConfig(accelerator="cpu"),
        "rate": lambda done: 0.01 * 0.9 ** (done // 2),
        "betas": (0.5, 0.999),
        "batches": batches,
        "batches_per_epoch": 3,
        "generators": ("forth", "back"),
        "discriminators": ("judge",),
        "generate": generate,
        "discriminate": discriminate,
        "validate": lambda _nets, epoch: {"seen": float(epoch)},
    }
    return AdversarialFitting(**(values | changes))


def states(folder: Path) -> dict[str, Tensor]:
    return {
        f"{path.stem}.{name}": value
        for path in sorted(folder.glob("*.pt"))
        for name, value in torch.load(path, weights_only=True).items()
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def log_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_stopped_run_ends_with_the_same_bytes(tmp_path):
    whole = fit_adversarial(networks(), fitting(tmp_path / "whole"))

    def stopping(epoch: int):
        for index, batch in enumerate(batches(epoch)):
            if epoch == 2 and index == 1:
                raise StoppedError
            yield batch

    with pytest.raises(StoppedError):
        fit_adversarial(networks(), fitting(tmp_path / "stopped", batches=stopping))
    assert not (tmp_path / "stopped" / "weights").exists()
    resumed = fit_adversarial(networks(), fitting(tmp_path / "stopped"))
    assert sorted(path.name for path in whole.iterdir()) == ["back.pt", "forth.pt", "judge.pt"]
    for path in whole.iterdir():
        assert (resumed / path.name).read_bytes() == path.read_bytes()
    rows = log_of(tmp_path / "stopped")
    assert [(row["epoch"], row["seen"]) for row in rows] == [(str(n), str(n)) for n in (1, 2, 3, 4)]
    timed = ("wall_s", "peak_bytes")
    for row, other in zip(rows, log_of(tmp_path / "whole"), strict=True):
        assert {k: v for k, v in row.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}


def test_what_ended_is_not_run_again(tmp_path):
    first = states(fit_adversarial(networks(), fitting(tmp_path)))

    def never(_epoch: int):
        raise AssertionError("an epoch was run again")

    assert same(states(fit_adversarial(networks(), fitting(tmp_path, batches=never))), first)


def test_another_recipe_is_refused(tmp_path):
    fit_adversarial(networks(), fitting(tmp_path))
    with pytest.raises(ValueError, match="another recipe"):
        fit_adversarial(networks(), fitting(tmp_path, digest="other"))


@pytest.mark.parametrize("half", ["generate", "discriminate"])
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, half):
    def no_number(nets, batch, made=None):
        if made is None:
            found = generate(nets, batch)
            return Made(found.loss * torch.nan, found.parts, found.images)
        loss, parts = discriminate(nets, batch, made)
        return loss * torch.inf, parts

    with pytest.raises(FloatingPointError, match="not finite"):
        fit_adversarial(networks(), fitting(tmp_path, **{half: no_number}))
    assert not (tmp_path / "weights").exists()


def test_the_rate_falls_by_epochs_and_the_first_step_has_adams_size(tmp_path):
    fit_adversarial(networks(), fitting(tmp_path))
    rates = [float(row["rate"]) for row in log_of(tmp_path)]
    assert rates == pytest.approx([0.01, 0.01, 0.009, 0.009])
    start = networks()["forth"].state_dict()["0.weight"]
    folder = tmp_path / "one"
    ended = fit_adversarial(
        networks(), fitting(folder, epochs=1, batches_per_epoch=1, batches=lambda epoch: batches(epoch)[:1])
    )
    moved = (states(ended)["forth.0.weight"] - start).abs()
    assert float(moved.max()) == pytest.approx(0.01, rel=1e-3), "Adam's first step is the rate, whatever the gradient"


def test_each_half_trains_its_own_networks_on_images_made_before_the_step(tmp_path):
    seen = {"generate": [], "discriminate": []}
    made_before: list[Tensor] = []

    def trains(nets) -> list[str]:
        return [name for name, net in nets.items() if all(weight.requires_grad for weight in net.parameters())]

    def watched_generate(nets, batch) -> Made:
        seen["generate"].append(trains(nets))
        made = generate(nets, batch)
        made_before.append(made.images["made"].detach().clone())
        return made

    def watched_discriminate(nets, batch, made):
        seen["discriminate"].append(trains(nets))
        image = made.images["made"]
        assert not image.requires_grad
        assert torch.equal(image, made_before[-1])
        assert not torch.equal(nets["forth"](batch[0]), image), "the generators have moved by then"
        return discriminate(nets, batch, made)

    nets = networks() | {"fixed": nn.Linear(3, 3)}
    before = nets["fixed"].weight.clone()
    halves = {"generate": watched_generate, "discriminate": watched_discriminate}
    fit_adversarial(nets, fitting(tmp_path, epochs=1, **halves))
    assert seen == {"generate": [["forth", "back"]] * 3, "discriminate": [["judge"]] * 3}
    assert torch.equal(nets["fixed"].weight, before)
    assert not (tmp_path / "weights" / "fixed.pt").exists()


def test_validation_sees_networks_in_eval_mode_and_steps_do_not(tmp_path):
    modes: list[tuple[str, bool]] = []
    counter = itertools.count()

    def watched(nets, batch) -> Made:
        modes.append(("step", nets["forth"].training))
        return generate(nets, batch)

    def validate(nets, epoch: int) -> dict[str, float]:
        modes.append(("validate", any(net.training for net in nets.values())))
        assert not torch.is_grad_enabled()
        assert epoch == next(counter) + 1
        return {}

    fit_adversarial(networks(), fitting(tmp_path, epochs=2, generate=watched, validate=validate))
    assert modes == ([("step", True)] * 3 + [("validate", False)]) * 2


def test_a_wrong_number_of_batches_is_told(tmp_path):
    with pytest.raises(ValueError, match="3 batches and not 5"):
        fit_adversarial(networks(), fitting(tmp_path, batches_per_epoch=5))


def test_a_gpu_that_is_not_there_is_not_replaced(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="a GPU was asked for"):
        fit_adversarial(networks(), fitting(tmp_path, device=DeviceConfig(accelerator="gpu")))


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path):
    script = "tests.integration.training.loop.two_processes_adversarial"
    command = [sys.executable, "-m", script, str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    one = states(fit_adversarial(networks(), two_process_fitting(tmp_path / "one", 1)))
    two = states(tmp_path / "two" / "weights")
    assert list(one) == list(two)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=0)
    assert [row["epoch"] for row in log_of(tmp_path / "two")] == ["1", "2"]
