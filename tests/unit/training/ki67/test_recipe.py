"""The paper's numbers, and what a recipe's digests stand for."""

import pytest
from pydantic import ValidationError

from training.ki67.config import CLASSES, EXPERIMENTS, Config
from training.loop.config import experiment_path, load_toml, rate_at


def recipe(name: str = "paper", **changes: object) -> Config:
    return Config.model_validate(load_toml(experiment_path(EXPERIMENTS, name), Config).model_dump() | changes)


def test_the_papers_numbers():
    paper = recipe()
    assert CLASSES == ("negative", "positive", "background")
    assert (paper.width, paper.loop.batch, paper.loop.epochs, paper.loop.weight_decay) == (1.0, 64, 20, 1e-5)
    assert (paper.data.negative, paper.data.positive, paper.data.background) == (6086, 5900, 6776)
    assert (paper.data.patch_px, paper.data.mpp, paper.data.test, paper.data.folds) == (64, 0.25, 0.2, 10)
    assert (paper.data.cell_box_px, paper.data.background_box_px) == (64, 64)
    augment = paper.augment
    assert not (augment.turn or augment.shift_px or augment.stain_sigma or augment.brightness or augment.halved)
    assert not paper.balanced


def test_the_rate_steps_down_after_ten_epochs():
    loop = recipe().loop
    assert [rate_at(loop, epoch) for epoch in (0, 9, 9.99)] == [1e-3] * 3
    assert [rate_at(loop, epoch) for epoch in (10, 15, 19.99)] == [1e-4] * 3


def test_a_shorter_fold_steps_down_halfway_too():
    loop = recipe(fold_epochs=6).loop_of(3)
    assert (loop.epochs, loop.step_epoch) == (6, 3)
    assert recipe(fold_epochs=6).loop_of(None).epochs == 20


@pytest.mark.parametrize("name", ["paper", "shipped", "small", "patch64"])
def test_every_experiment_can_be_read(name):
    assert recipe(name).package.halo_px >= 245


def test_where_it_runs_does_not_change_the_recipe():
    paper = recipe()
    assert recipe(device={"accelerator": "cpu"}).digest() == paper.digest()
    assert recipe(package={"tile_px": 512}).digest() == paper.digest()
    assert recipe(seed=1).digest() != paper.digest()
    assert recipe(augment={"turn": True}).data_digest() == paper.data_digest()
    assert recipe(augment={"shift_px": 4}).data_digest() != paper.data_digest()


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValidationError, match="no multiple of 3"):
        recipe(balanced=True)
    with pytest.raises(ValidationError, match="fold_epochs"):
        recipe(fold_epochs=1)
    with pytest.raises(ValidationError):
        recipe(data={"context_px": 96})
    with pytest.raises(FileNotFoundError, match="shipped"):
        experiment_path(EXPERIMENTS, "none")
