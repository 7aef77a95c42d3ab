"""The whole chain on drawn slides of a few discs: prepare, train, interrupt, evaluate, export, serve."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.registry import read_package
from models.runtimes import load_predictor
from training.mitosis import chain as chain_module
from training.mitosis.chain import soft_targets, stage_scores, train_fold
from training.mitosis.config import Config
from training.mitosis.detect import probability_map
from training.mitosis.evaluate import evaluate, weights_of
from training.mitosis.feeding import patch_probabilities
from training.mitosis.fold import open_fold
from training.mitosis.mining import with_mined
from training.mitosis.package import export_package
from training.mitosis.prepare import Prepared, prepare
from training.nets.all_convolutional import INSET_PX, MitosisNet
from training.sets.marks import Mark, MarkedImage
from workers.slides.opening import open_slide

CASES, SIDE_PX = ("A", "B", "C"), 240


def recipe(**numbers):
    stage = {"gamma": 0.04, "draws": 16, "epochs": 2}
    return Config.model_validate(
        {
            "k": 2,
            "hard_negatives": 20,
            "mined": 6,
            "data": {
                "random_places": 5,
                "brecahad": False,
                "phantom": {"train": 0, "test": 0},
                "validation": 0.4,
                "validation_negatives": 4,
            },
            "candidates": {"diameter_px": 40},
            "loop": {"epochs": 2, "batch": 8, "threads": 1},
            "cnn3": stage,
            "cnn4": stage | {"warm": True},
            "cnn5": stage,
            "norm": True,
            "package": {"tile_px": 256},
            "evaluate": {"component_threshold": 0.02, "least_threshold": 0.02},
            "device": {"accelerator": "cpu"},
        }
        | numbers
    )


SERVED = recipe(folds=["B", "final"])


def draw_slide(folder, case, number):
    """Black figures (mitoses) and violet discs (other nuclei) on pink, with the places of both."""
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    pixels = np.full((SIDE_PX, SIDE_PX, 3), (235, 190, 215), np.uint8)
    marks = []
    for index, (x, y) in enumerate(((60, 60), (170, 70), (70, 170), (180, 180))):
        near = np.hypot(columns - x - 5 * number, rows - y) < 14
        is_mitosis = index < 2
        pixels[near] = (20, 10, 40) if is_mitosis else (120, 80, 150)
        marks.append(Mark(x + 5.0 * number, y, "Mitosis" if is_mitosis else "Tumor_nuclei"))
    path = folder / f"{case}-{number}.png"
    Image.fromarray(pixels).save(path)
    return MarkedImage(path.stem, case, "drawn", False, path, 0.25, SIDE_PX, SIDE_PX, tuple(marks))


def quiet(_text):
    """Tell nobody."""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return [draw_slide(folder, case, number) for case in CASES for number in range(3)]


@pytest.fixture(scope="module")
def prepared(images, tmp_path_factory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("none"), tmp_path_factory.mktemp("data"), recipe(), images, quiet)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """A work folder with the chain of the final fold and of one held-out case."""
    work = tmp_path_factory.mktemp("work")
    for name in ("B", "final"):
        train_fold(open_fold(prepared, recipe(), work, name))
    return work


@pytest.fixture(scope="module")
def report(prepared, trained):
    """What evaluation says of the two folds."""
    return evaluate(prepared, SERVED, trained, quiet)


def test_patches_are_centred_on_mitoses_and_negatives_keep_away(prepared):
    patches = prepared.patches
    assert len(set(patches.images.tolist())) == 9
    assert (patches.labels == 1).sum() == 18
    middle = patches.pixels[:, 62:66, 62:66].reshape(len(patches), -1, 3).mean(axis=1)
    assert (middle[patches.labels == 1, 0] < 60).all()
    assert (middle[patches.labels == 0, 0] > 60).all()
    assert prepared.candidate_recall == {"drawn": (18, 18)}


def test_places_between_nuclei_are_negatives_too(prepared):
    negatives = prepared.patches.pixels[prepared.patches.labels == 0, 62:66, 62:66]
    on_stroma = (negatives.reshape(len(negatives), -1, 3).mean(axis=1)[:, 0] > 200).mean()
    assert on_stroma > 0.3


def test_cnn4_learns_from_places_of_its_training_images_that_cnn3_drew(prepared, trained):
    fold = open_fold(prepared, recipe(), trained, "B")
    mined = with_mined(fold, "cnn3", weights_of(fold, "cnn3"))
    assert len(mined.patches) == len(fold.patches) + 6 * len(fold.parts.train)
    assert set(mined.patches.images[len(fold.patches) :].tolist()) == set(fold.parts.train)
    assert np.array_equal(mined.train[: len(fold.train)], fold.train)
    assert mined.train[len(fold.train) :].tolist() == list(range(len(fold.patches), len(mined.patches)))
    assert not mined.patches.labels[len(fold.patches) :].any()


def test_prepare_does_nothing_twice(prepared, images, tmp_path):
    first = prepare(tmp_path, tmp_path / "data", recipe(), images[:3], quiet)
    written = (tmp_path / "data" / "patches" / "pixels.npy").stat().st_mtime_ns
    again = prepare(tmp_path, tmp_path / "data", recipe(), images[:3], quiet)
    assert (tmp_path / "data" / "patches" / "pixels.npy").stat().st_mtime_ns == written
    assert again.patches_digest == first.patches_digest != prepared.patches_digest


def test_no_patch_of_a_test_case_is_trained_on(prepared, tmp_path):
    for case in CASES:
        fold = open_fold(prepared, recipe(), tmp_path, case)
        seen = np.concatenate([fold.train, fold.validation])
        assert case not in set(prepared.patches.cases[seen].tolist())
        assert set(prepared.patches.cases[seen].tolist()) == set(CASES) - {case}
        assert not set(fold.train.tolist()) & set(fold.validation.tolist())


def test_cnn5_learns_the_mean_of_the_ensemble(prepared, trained):
    fold = open_fold(prepared, recipe(), trained, "B")
    members = [weights_of(fold, f"cnn4-{index}") for index in range(2)]
    wanted = []
    for path in members:
        net = MitosisNet(0.04, norm=True).eval()
        net.load_state_dict(torch.load(path, weights_only=True))
        wanted.append(patch_probabilities(net, prepared.patches, fold.train, 100))
    found = soft_targets(fold, members)
    np.testing.assert_allclose(found, np.mean(wanted, axis=0), atol=1e-6)
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(stage_scores(fold, "cnn4-0", members[0], fold.train), wanted[0], atol=1e-6)


def test_an_interrupted_chain_ends_in_the_same_weights(prepared, trained, tmp_path, monkeypatch):
    calls = []
    validate = chain_module.validate_patches

    def fail_at(limit):
        def count(*arguments):
            calls.append(1)
            if len(calls) == limit:
                raise KeyboardInterrupt
            return validate(*arguments)

        return count

    # Within CNN3, and within the second CNN4.
    for limit in (2, 5):
        calls.clear()
        monkeypatch.setattr(chain_module, "validate_patches", fail_at(limit))
        with pytest.raises(KeyboardInterrupt):
            train_fold(open_fold(prepared, recipe(), tmp_path, "B"))
    monkeypatch.setattr(chain_module, "validate_patches", validate)
    train_fold(open_fold(prepared, recipe(), tmp_path, "B"))
    for name in ("cnn3", "cnn4-0", "cnn4-1", "cnn5"):
        one, other = (torch.load(work / "B" / name / "weights.pt", weights_only=True) for work in (trained, tmp_path))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_another_recipe_does_not_go_on_from_a_checkpoint(prepared, trained):
    with pytest.raises(ValueError, match="another recipe"):
        train_fold(open_fold(prepared, recipe(hard_negatives=30), trained, "B"))


def test_from_report_to_a_package_that_says_what_the_network_says(prepared, trained, report, images, tmp_path):
    assert set(report.networks) == {"cnn3", "cnn4-0", "ensemble", "cnn5"}
    assert [row.case for row in report.networks["cnn5"].images] == ["B"] * 3
    assert report.networks["cnn5"].phantom is None
    folder = export_package(prepared, SERVED, trained, tmp_path, "1.0.0")
    package = read_package(folder)
    assert package.manifest.grid.halo_px == INSET_PX == package.manifest.outputs[0].inset_px
    assert not any(metric.synthetic for metric in package.manifest.metrics)
    _same_as_the_network(package, prepared, trained, images[0])
    # The package's weights are a start for fine-tuning: CNN3 of another run begins with them.
    fold = open_fold(
        prepared, recipe(stages=["cnn3"], cnn3={"gamma": 0.04, "draws": 8, "epochs": 1, "rate": 1e-9}), tmp_path, "B"
    )
    tuned = torch.load(train_fold(fold, folder / "weights.npz"), weights_only=True)
    last = torch.load(trained / "final" / "cnn5" / "weights.pt", weights_only=True)
    # What batch normalisation has seen moves on with the first batch, weights hardly at this rate.
    learned = [key for key in last if "running" not in key and "tracked" not in key]
    assert all(torch.allclose(tuned[key], last[key], atol=1e-6) for key in learned)


def _same_as_the_network(package, prepared, trained, image):
    """The served map of a tile equals what evaluation saw there."""
    net = MitosisNet(0.04, norm=True).eval()
    net.load_state_dict(torch.load(trained / "final" / "cnn5" / "weights.pt", weights_only=True))
    slide = open_slide(image.path, 0.25)
    wanted = probability_map(net, slide, 0.25)
    predictor = load_predictor(package)
    batch = np.full(predictor.batch_shape, 255, np.uint8)
    pixels = np.asarray(Image.open(image.path))
    batch[0, INSET_PX : INSET_PX + SIDE_PX, INSET_PX : INSET_PX + SIDE_PX] = pixels
    logits = predictor.predict(batch)["mitosis"][0, 0, : SIDE_PX // 4, : SIDE_PX // 4]
    predictor.close()
    slide.close()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), wanted, atol=1e-4)


@pytest.mark.usefixtures("report")
def test_a_package_is_refused_where_things_do_not_belong_together(prepared, trained, tmp_path):
    with pytest.raises(ValueError, match="another recipe or other data"):
        export_package(prepared, recipe(seed=5, folds=["B", "final"]), trained, tmp_path, "1.0.0")
    weights = trained / "final" / "cnn5" / "weights.pt"
    kept = weights.read_bytes()
    try:
        weights.write_bytes((trained / "final" / "cnn3" / "weights.pt").read_bytes())
        with pytest.raises(ValueError, match="other weights"):
            export_package(prepared, SERVED, trained, tmp_path, "1.0.0")
    finally:
        weights.write_bytes(kept)
