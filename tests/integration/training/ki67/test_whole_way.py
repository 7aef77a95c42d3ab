"""From nothing to a package on tiny phantoms: prepare, train, evaluate, export, and what must be refused on the way."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

import training.ki67.train as training_of
from models.registry import read_package
from models.runtimes import load_predictor
from training.ki67.batches import draw_batches
from training.ki67.config import BACKGROUND, CLASSES, EXPERIMENTS, Config
from training.ki67.data import PHANTOMS, TEST, TRAIN, prepare, read_part
from training.ki67.evaluate import evaluate
from training.ki67.package import export_package, read_report
from training.ki67.phantoms import read_truth
from training.ki67.train import Start, train
from training.loop.config import experiment_path, load_toml
from training.sets.patch_set import PatchSet

TINY = {
    "width": 1 / 16,
    "loop": {"epochs": 3, "batch": 16, "decay": "step", "step_epoch": 2, "final_rate": 1e-4, "threads": 1},
    "fold_epochs": 0,
    "data": {
        "negative": 60,
        "positive": 60,
        "background": 60,
        "cell_box_px": 40,
        "background_box_px": 16,
        "test": 0.34,
        "folds": 2,
        "phantom": {"count": 3, "side_px": 512, "ki67": [0.5], "tissue": [1.0]},
        "pairs": {"count": 3, "width_px": 512, "height_px": 512, "moved": False},
    },
    "augment": {"turn": True, "shift_px": 2, "stain_sigma": 0.03, "halved": 0.2},
    "package": {"stride_px": 16, "tile_px": 512},
}


def silent(*_: object) -> None:
    """No progress is shown."""


@pytest.fixture(scope="module")
def recipe() -> Config:
    return Config.model_validate(load_toml(experiment_path(EXPERIMENTS, "small"), Config).model_dump() | TINY)


@pytest.fixture(scope="module")
def prepared(recipe: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ki67")
    prepare(recipe, folder, None, 1, silent)
    return folder


@pytest.fixture(scope="module")
def trained(recipe: Config, prepared: Path) -> Path:
    train(recipe, prepared, None, Start(), silent)
    evaluate(recipe, prepared, silent)
    return prepared


def test_no_case_is_in_both_parts(recipe: Config, prepared: Path):
    parts: list[PatchSet] = [read_part(recipe, prepared, part) for part in (TRAIN, TEST)]
    assert set(parts[0].cases) | set(parts[1].cases) == {f"phantom-{6700 + i}" for i in range(3)}
    assert not set(parts[0].cases) & set(parts[1].cases)
    assert all(set(part.labels) == {0, 1, 2} for part in parts)
    assert {part.size_px for part in parts} == {68}


def test_background_meets_no_cell_and_cells_are_what_the_truth_says(recipe: Config, prepared: Path):
    for part in (TRAIN, TEST):
        patches = read_part(recipe, prepared, part)
        for name in np.unique(patches.images):
            own = patches.take(patches.images == name)
            truth = read_truth(prepared / PHANTOMS / str(name) / "truth.parquet")
            away, nearest = cKDTree(np.stack([truth.x_px, truth.y_px], 1)).query(
                np.stack([own.x_px, own.y_px], 1), p=np.inf
            )
            background = own.labels == BACKGROUND
            assert background.sum() > 5
            assert (away[background] >= (40 + 16) / 2).all()
            assert (away[~background] == 0).all()
            called = np.array(CLASSES)[own.labels[~background]] == "positive"
            assert (called == truth.positive[nearest[~background]]).all()


def test_an_interrupted_run_ends_with_the_same_weights(
    recipe: Config, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in (TRAIN, TEST):
        shutil.copytree(trained / name, tmp_path / name)
    shutil.copy(trained / "prepared.json", tmp_path)

    def stopping(patches: PatchSet, config: Config, epoch: int):
        for index, batch in enumerate(draw_batches(patches, config, epoch)):
            if epoch == 2 and index == 1:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(training_of, "draw_batches", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path, None, Start(), silent)
    again = torch.load(train(recipe, tmp_path, None, Start(), silent), weights_only=True)
    whole = torch.load(trained / "final" / "weights.pt", weights_only=True)
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    rates = [line.split(",")[2] for line in (tmp_path / "final" / "log.csv").read_text().splitlines()[1:]]
    assert [float(rate) for rate in rates] == [1e-3, 1e-3, 1e-4]


def test_the_report_holds_what_the_paper_reports(recipe: Config, trained: Path):
    report = read_report(recipe, trained)
    named = {(number.data, number.name) for number in report.numbers}
    assert ("held-out phantoms, patches", "accuracy, three classes") in named
    assert ("held-out phantoms, class map at the same places", "accuracy, three classes") in named
    assert ("held-out phantoms, cells", "accuracy of positive against negative, best possible") in named
    assert set(report.correlations) == {"D_pos", "D_neg", "R_pos"}
    assert [score.name for score in report.tables[0].scores] == [*CLASSES, "average"]
    assert all(number.synthetic for number in report.numbers)
    assert report.start == "trained from random weights"
    assert [pair.error_um for pair in report.pairs] == [0.0] * 3
    # Nothing was moved: the colours of the IHC are those of the truth, and the share rises with the phantoms' index.
    assert [pair.ihc[2] for pair in report.pairs] == sorted(pair.ihc[2] for pair in report.pairs)
    assert {path.name for path in (trained / "pictures").iterdir()} == {
        "confusion-phantoms.png",
        "correlation.png",
        "pairs.png",
    }


def test_the_package_runs_and_can_be_started_from(recipe: Config, trained: Path, tmp_path: Path):
    folder = export_package(recipe, trained, tmp_path / "zoo", "0.1.0")
    package = read_package(folder)
    assert package.manifest.reference == "ki67-he@0.1.0"
    assert all(metric.synthetic for metric in package.manifest.metrics)
    assert "phantoms" in package.manifest.not_for
    card = (folder / "card.md").read_text()
    assert "**Trained on phantoms and measured on phantoms" in card.splitlines()[2]
    assert "{" not in card
    assert "nan" not in card.split()
    load_predictor(package).close()
    for name in (TRAIN, TEST):
        shutil.copytree(trained / name, tmp_path / name)
    shutil.copy(trained / "prepared.json", tmp_path)
    short = recipe.model_copy(update={"fold_epochs": 2})
    told: list[str] = []
    train(short, tmp_path, 0, Start(package=folder), told.append)
    assert told == ["all weights taken from ki67-he@0.1.0"]


def test_what_does_not_belong_together_is_not_exported(recipe: Config, trained: Path, tmp_path: Path):
    other = recipe.model_copy(update={"width": 1 / 8})
    with pytest.raises(ValueError, match="another recipe"):
        export_package(other, trained, tmp_path, "0.1.0")
    narrow = recipe.model_copy(update={"package": recipe.package.model_copy(update={"halo_px": 224})})
    with pytest.raises(ValueError, match="halo_px 224"):
        export_package(narrow, trained, tmp_path, "0.1.0")
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    weights = torch.load(copy / "final" / "weights.pt", weights_only=True)
    torch.save(weights | {"fc.bias": weights["fc.bias"] + 1}, copy / "final" / "weights.pt")
    with pytest.raises(ValueError, match="other weights"):
        export_package(recipe, copy, tmp_path, "0.1.0")
    (copy / "final" / "weights.pt").unlink()
    with pytest.raises(FileNotFoundError, match="train --fold final"):
        export_package(recipe, copy, tmp_path, "0.1.0")
