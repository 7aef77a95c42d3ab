"""From nothing to a package on tiny phantoms, and what must be refused on the way."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import training.deepliif.data as data_of
import training.deepliif.infer as infer_of
from models.importers.deepliif.convert import read_generator
from models.importers.deepliif.layout import read_layout
from models.importers.deepliif.plan import plan_outputs
from models.nets.deepliif_graph import DeepliifGraph, MaskTerm
from models.registry import read_package
from models.runtimes import load_predictor
from training.deepliif.batches import Feed
from training.deepliif.config import Config
from training.deepliif.data import PREPARED, labelled_pictures, prepare, read_prepared
from training.deepliif.evaluate import evaluate, weights_digests
from training.deepliif.infer import picture_runner
from training.deepliif.layout import write_layout
from training.deepliif.networks import build_graph
from training.deepliif.package import export_package
from training.deepliif.real import read_images
from training.deepliif.report import read_report
from training.deepliif.store import read_set, read_wholes
from training.deepliif.synthetic import train_ihc_generator, write_synthetic
from training.deepliif.train import RUN, SYNTHETIC, load_generators, train, training_sets

PHANTOMS = {
    "train": 2,
    "val": 1,
    "test": 1,
    "side_px": 128,
    "test_side_px": 256,
    "tumour": [1.0],
    "tissue": [1.0],
    "ki67": [0.4],
    "lymphocytes": [0.4],
}
TINY = {
    "data": {
        "side_px": 64,
        "phantom": PHANTOMS,
        "real": {"use": False},
    },
    "nets": {
        "translator_width": 2,
        "blocks": 1,
        "segmenter_width": 2,
        "levels": 5,
        "discriminator_width": 2,
        "dropout": False,
        "modalities": ["marker"],
    },
    "train": {"constant_epochs": 1, "decay_epochs": 1, "pictures": 2, "threads": 1},
    "augment": {"turn": True, "density": 0.1},
    "synthetic": {"width": 2, "blocks": 1, "constant_epochs": 1, "decay_epochs": 0, "pictures": 2},
    "package": {"mode": "exact", "tile_px": 64},
}


def silent(*_: object) -> None:
    """No progress is shown."""


def recipe_with(**changed: dict[str, object]) -> Config:
    whole = {name: TINY[name] | changed.get(name, {}) for name in TINY}
    return Config.model_validate(whole)


@pytest.fixture(scope="module")
def recipe() -> Config:
    return recipe_with()


@pytest.fixture(scope="module")
def prepared(recipe: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deepliif")
    prepare(recipe, folder, folder, silent)
    return folder


@pytest.fixture(scope="module")
def trained(recipe: Config, prepared: Path) -> Path:
    train(recipe, prepared)
    evaluate(recipe, prepared, prepared / "no-real-data", silent)
    return prepared


def beside(prepared: Path, folder: Path) -> Path:
    """A work folder with the same pictures and no weights."""
    for name in ("train", "val", "test", PREPARED):
        (folder / name).symlink_to(prepared / name)
    return folder


def test_parts_have_phantoms_of_their_own(recipe: Config, prepared: Path):
    found = read_prepared(recipe, prepared)
    assert found.pictures == {part: {"phantom": n} for part, n in (("train", 2), ("val", 1), ("test", 1))}
    names = [{row.case for row in read_set(prepared / part).rows} for part in ("train", "val")]
    [(row, cells)] = read_wholes(prepared / "test")
    assert not names[0] & names[1] and row.case not in names[0] | names[1]
    assert len(read_set(prepared / "train")) == 2 * 4
    assert cells.instances.max() == len(cells.positive) > 5
    assert (cells.panels.dapi[cells.instances > 0].mean() > 3 * cells.panels.dapi[cells.instances == 0].mean()).all()


def test_an_interrupted_run_ends_with_the_same_weights(
    recipe: Config, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    beside(trained, tmp_path)
    whole = Feed.epoch

    def stopping(self: Feed, epoch: int):
        for index, batch in enumerate(whole(self, epoch)):
            if epoch == 1 and index == 1:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(Feed, "epoch", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path)
    train(recipe, tmp_path)
    assert weights_digests(tmp_path) == weights_digests(trained)
    assert set(weights_digests(trained)) == {"G1", "GS0", "GS1"}
    header = (trained / RUN / "log.csv").read_text().splitlines()[0].split(",")
    assert {"G1_l1", "G1_gan", "mask_l1", "DGS1", "val_mask", "rate", "wall_s", "peak_bytes"} <= set(header)
    assert (trained / RUN / "samples" / "epoch-002.png").is_file()


def test_the_report_is_of_these_weights_and_holds_the_papers_table(recipe: Config, trained: Path):
    report = read_report(recipe, trained, weights_digests(trained))
    metrics = {number.metric for number in report.numbers}
    assert metrics == {"pix_acc", "dice", "iou", "share_right", "aji", "score_gap", "detection_f1", "mse", "ssim"}
    assert {n.of for n in report.numbers if n.metric == "mse"} == {"marker"}
    assert all(n.synthetic and n.data == "held-out phantoms" and n.n == 1 for n in report.numbers)
    assert report.real == () and report.peak_bytes and report.epoch_wall_s
    with pytest.raises(ValueError, match="other weights"):
        read_report(recipe, trained, {"G1": "another"})
    with pytest.raises(ValueError, match="another recipe"):
        read_report(recipe_with(train={"rate": 1e-5}), trained, weights_digests(trained))


def test_the_package_answers_as_the_networks_do(recipe: Config, trained: Path, tmp_path: Path):
    package = read_package(export_package(recipe, trained, tmp_path, "1.0.0"))
    manifest = package.manifest
    assert [output.name for output in manifest.outputs] == ["marker", "seg"]
    assert manifest.statistics is not None and manifest.recipe["mode"] == "exact"
    assert "phantoms alone" in (package.folder / "card.md").read_text()
    with np.load(package.folder / "weights.npz") as weights:
        assert any(name.startswith("GS1.model.") for name in weights.files)
    predictor = load_predictor(package)
    tile = np.random.default_rng(0).integers(0, 256, predictor.batch_shape, np.uint8)
    statistics = np.abs(np.random.default_rng(1).normal(0.5, 0.1, manifest.statistics.length)).astype(np.float32)
    answers = predictor.predict(tile, statistics)
    predictor.close()
    graph = infer_of.FrozenNetwork(build_graph(recipe.nets, load_generators(recipe, trained / RUN / "weights")))
    with torch.no_grad():
        wanted = graph(torch.from_numpy(tile), torch.from_numpy(statistics))
    for name, values in zip(("marker", "seg"), wanted, strict=True):
        assert np.abs(answers[name] - values.numpy()).max() < 1e-4


def test_the_importer_reads_the_layout_and_gives_the_same_numbers(recipe: Config, trained: Path, tmp_path: Path):
    write_layout(recipe, trained, tmp_path / "model")
    layout = read_layout(tmp_path / "model")
    assert layout.segmenters == ("GS0", "GS1")
    assert layout.weights == (0.5, 0.5) and [m.name for m in layout.modalities] == ["Marker"]
    plan = plan_outputs(layout)
    nets = {name: read_generator(layout.files[name], name)[1] for name in plan.nets}
    terms = [MaskTerm(term.net, term.source, term.weight) for term in plan.terms]
    imported = DeepliifGraph(nets, terms, ["G1", None]).eval()
    own = build_graph(recipe.nets, load_generators(recipe, trained / RUN / "weights"))
    tiles = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for a, b in zip(imported(tiles), own(tiles), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_under_exact_answers_do_not_depend_on_tiles_and_under_compat_they_do(
    recipe: Config, trained: Path, monkeypatch: pytest.MonkeyPatch
):
    [(_, cells)] = read_wholes(trained / "test")
    nets = load_generators(recipe, trained / RUN / "weights")
    whole = picture_runner(recipe, nets)(cells.panels.ihc)
    monkeypatch.setattr(infer_of, "RUN_PX", 64)
    tiled = picture_runner(recipe, nets)(cells.panels.ihc)
    assert set(whole) == {"marker", "seg"}
    for name, picture in whole.items():
        assert np.abs(picture.astype(int) - tiled[name]).max() <= 1, name
    compat = [
        picture_runner(recipe_with(package={"mode": "compat", "scale_px": side}), nets)(cells.panels.ihc)["seg"]
        for side in (64, 128)
    ]
    assert np.abs(compat[0].astype(int) - compat[1]).max() > 1


def test_given_translators_stay_as_they_are(trained: Path, tmp_path: Path):
    recipe = recipe_with(train={"stage": "segmenters"})
    beside(trained, tmp_path)
    with pytest.raises(ValueError, match="--translators"):
        train(recipe, tmp_path)
    given = torch.load(trained / RUN / "weights" / "G1.pt", weights_only=True)
    train(recipe, tmp_path, trained / RUN / "weights")
    nets = load_generators(recipe, tmp_path / RUN / "weights")
    assert all(torch.equal(given[name], value) for name, value in nets["G1"].state_dict().items())


def test_synthetic_ihc_doubles_the_training_set(trained: Path, tmp_path: Path):
    recipe = recipe_with(synthetic={"use": True})
    beside(trained, tmp_path)
    train_ihc_generator(recipe, tmp_path)
    assert write_synthetic(recipe, tmp_path, silent) == 8
    first, second = training_sets(recipe, tmp_path)
    assert len(first) == len(second) == 8 and {row.case for row in first.rows} == {row.case for row in second.rows}
    red = [sum(int((s.panels(k).seg[..., 0] > 0).sum()) for k in range(8)) for s in (first, second)]
    assert red[1] > 1.5 * red[0]
    assert [row.name.rsplit("-", 1)[1] for row in second.rows[:4]] == ["50", "70", "90", "50"]
    assert read_set(tmp_path / SYNTHETIC).rows == second.rows


def test_real_nuclei_are_split_by_image(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = [*islice(read_images(data_dir), 5), *islice(read_images(data_dir), 105, 109)]
    monkeypatch.setattr(data_of, "read_images", lambda _: iter(images))
    config = recipe_with(data={"phantom": {"train": 0, "val": 0, "test": 0}, "real": {"use": True, "variants": 2}})
    found = list(labelled_pictures(config, data_dir, silent))
    parts: dict[str, set[str]] = {}
    for part, row, cells in found:
        parts.setdefault(row.case, set()).add(part)
        assert row.synthetic and not row.has_modalities and min(cells.panels.ihc.shape[:2]) >= 64
        assert len(cells.positive) > 0 and (cells.panels.dapi == 0).all()
    assert len(parts) == 9 and all(len(where) == 1 for where in parts.values())
    assert {row.source for part, row, _ in found if part == "test"} == {"nuclei_dsb2018", "nuclei_tnbc"}
    train_rows = [row.name for part, row, _ in found if part == "train"]
    assert len(train_rows) == 2 * len({name.removesuffix("-1") for name in train_rows})
