"""From nothing to a package that the engine runs, on a recipe of seconds."""

import csv
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.errors import OutputConflictError
from models.registry import read_package
from training.loop.config import experiment_path, load_toml
from training.sets.phantoms import TRUTH
from training.virtual_ihc.commands import app
from training.virtual_ihc.config import EXPERIMENTS, HE, KI67, Config
from training.virtual_ihc.data import MOVED, TEST, own_sources, prepare, read_prepared, read_tiles
from training.virtual_ihc.index import read_nuclei
from training.virtual_ihc.package import export_package
from training.virtual_ihc.phantoms import moved_specs
from training.virtual_ihc.report import Report
from training.virtual_ihc.sections import error_um, lay, whole
from training.virtual_ihc.slide_map import virtual_slide
from training.virtual_ihc.train import TO_HE, train, trained
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.slides.opening import open_slide

CONFIG = load_toml(experiment_path(EXPERIMENTS, "small"), Config)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """The work folder after prepare, train and evaluate by the commands."""
    folder = tmp_path_factory.mktemp("virtual") / "small"
    for command in (["prepare", "--processes", "1"], ["train"], ["evaluate"]):
        done = CliRunner().invoke(app, [*command, "--experiment", "small", "--work", str(folder)])
        assert done.exit_code == 0, (command, done.output, done.exception)
    return folder


@pytest.fixture(scope="module")
def package(work) -> Path:
    return export_package(CONFIG, work, work / "zoo", "0.1.0")


@pytest.fixture(scope="module")
def report(work) -> Report:
    return Report.model_validate_json((work / "report.json").read_text())


def test_the_stains_are_learned_from_different_tissue(work):
    he, ki67 = (read_tiles(CONFIG, work, "train", stain) for stain in (HE, KI67))
    phantoms = [
        {name.rsplit("-", 1)[0].removeprefix(f"{s}-") for name in t.images} for s, t in ((HE, he), (KI67, ki67))
    ]
    assert len(phantoms[0]) == len(phantoms[1]) == 5
    assert not phantoms[0] & phantoms[1]
    assert (he.size_px, he.mpp) == (96, 0.5)
    assert he.pixels.mean((0, 1, 2))[1] < ki67.pixels.mean((0, 1, 2))[1], "eosin takes green light"


def test_check_tiles_are_the_same_places_in_both_stains(work):
    he, ki67 = (read_tiles(CONFIG, work, "check", stain) for stain in (HE, KI67))
    assert np.array_equal(he.x_px, ki67.x_px)
    assert np.array_equal(he.y_px, ki67.y_px)


def test_each_epoch_is_logged_and_drawn(work):
    with (work / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    wanted = {f"{stain}_{name}" for stain in (HE, KI67) for name in ("ssim", "ms_ssim", "psnr_db", "mae")}
    assert wanted | {"fooled", "cycle", "structure", "judge_he", "judge_ki67", "wall_s", "peak_bytes"} <= set(rows[0])
    with Image.open(work / "run" / "pictures" / "epoch-002.png") as picture:
        assert picture.size == (7 * 102 - 6, 16 + 2 * 102 - 6)


def test_an_interrupted_run_ends_with_the_same_weights(work, tmp_path):
    fields = CONFIG.model_dump()
    fields["fit"] |= {"steps": 2}
    fields["loss"] |= {"pool": 2}
    config = Config.model_validate(fields)
    folders = [tmp_path / name for name in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
        for name in ("prepared.json", "train-he", "train-ki67", "check-he", "check-ki67"):
            (folder / name).symlink_to(work / name)
    weights = train(config, folders[0])
    import training.virtual_ihc.train as module

    measured, module.measure_epoch = module.measure_epoch, _stops_after(1, module.measure_epoch)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(config, folders[1])
    finally:
        module.measure_epoch = measured
    resumed = train(config, folders[1])
    for path in weights.iterdir():
        assert (resumed / path.name).read_bytes() == path.read_bytes()


def _stops_after(epochs: int, measure):
    def stopping(nets, check, picture):
        if picture.stem > f"epoch-{epochs:03d}":
            raise KeyboardInterrupt
        return measure(nets, check, picture)

    return stopping


def test_the_report_says_what_matters(report, work):
    names = {number.name for number in report.numbers}
    for wanted in (
        "ssim of virtual against true Ki-67",
        "ms_ssim of H&E there and back, tiles",
        "perceptual hash, virtual against true Ki-67, tiles",
        "error of the index, virtual stain",
        "error of the index, true stain by the same filter",
        "correlation of virtual brown with positive, nuclei",
        "AUC at best from H&E, tumour nuclei",
    ):
        assert wanted in names
    assert all(number.synthetic and number.n in (1, 3) for number in report.numbers)
    assert len(report.slides) == 3
    assert len(report.moved) + len(report.lost) == 1
    for slide in report.slides:
        assert abs(slide.real_index - slide.true_index) < 0.2, "the true stain tells the index"
        assert slide.auc["real"] > 0.98, "the true stain is brown where nuclei are positive"
        assert 0.8 < slide.auc["best"] < 1
    assert "ki67-he" in report.hash_weights
    for name in ("slides.png", "details.png", "indices.png", "epochs.png"):
        assert (work / "pictures" / name).stat().st_size > 1000
    assert "No number is a clinical claim" in (work / "report.md").read_text()


def test_tiles_give_what_the_slide_in_one_piece_gives(work):
    """A receptive radius as halo and statistics held still: nothing is left of the tiles."""
    slide = open_slide(next((work / TEST).iterdir()) / "he.tiff")
    generator = trained(CONFIG, work)
    try:
        found = [
            virtual_slide(
                generator, slide, CONFIG.model_copy(update={"package": CONFIG.package.model_copy(update=part)})
            )
            for part in ({"tile_px": 64}, {"tile_px": 1024})
        ]
    finally:
        slide.close()
    gap = np.abs(found[0].virtual.astype(int) - found[1].virtual.astype(int))
    assert gap.max() <= 1
    assert found[0].seam_in_phase == pytest.approx(1, abs=0.05)


def test_a_moved_section_is_laid_onto_the_other(work):
    spec = next(iter(moved_specs(CONFIG.data.phantom).values()))
    name = f"test-{spec.seed}"
    slides = [
        open_slide(path)
        for path in (
            work / TEST / name / "he.tiff",
            work / TEST / name / "ki67.tiff",
            work / MOVED / name / "ki67.tiff",
        )
    ]
    try:
        laid = lay(slides[0], slides[2], 0.5, CONFIG.data.phantom.registration_mpp)
        still, moved = (whole(slide, 0.5).astype(int) for slide in slides[1:])
    finally:
        for slide in slides:
            slide.close()
    nuclei = read_nuclei(work / TEST / name / TRUTH, 0.25, (1024, 1024))
    assert error_um(spec, laid.registration, nuclei.x_um, nuclei.y_um) < 2
    gaps = [np.abs(picture - still)[laid.common].mean() for picture in (laid.picture.astype(int), moved)]
    assert gaps[0] < 0.5 * gaps[1]


def test_the_package_is_whole_and_small(package, work):
    manifest = read_package(package).manifest
    assert (manifest.reference, manifest.stain) == ("virtual-ki67@0.1.0", "he")
    assert [(output.name, output.kind) for output in manifest.outputs] == [("ki67", "image"), ("staining", "classes")]
    assert manifest.statistics is not None
    assert (package / "weights.npz").exists()
    assert sum(file.stat().st_size for file in package.iterdir()) < 12e6
    card = (package / "card.md").read_text()
    for words in ("Not for", "No number below is a clinical claim", "which nuclei are positive", "python -m training"):
        assert words in card
    with pytest.raises(OutputConflictError):
        export_package(CONFIG, work, work / "zoo", "0.1.0")


def test_the_engine_stains_a_slide_and_measures_its_brown(package, work, tmp_path):
    slide = next((work / TEST).iterdir()) / "he.tiff"
    run_slide(RunRequest(slide, str(package), tmp_path / "out"), say_nothing, threading.Event())
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (tmp_path / "out" / "ki67.ome.tif").exists()
    assert "r_pos" in json.dumps(told["scores"])
    opened = open_slide(slide)
    try:
        own = virtual_slide(trained(CONFIG, work), opened, CONFIG).virtual.astype(int)
    finally:
        opened.close()
    stored = open_slide(tmp_path / "out" / "ki67.ome.tif", 0.5)
    try:
        engine = whole(stored, 0.5).astype(int)
    finally:
        stored.close()
    assert engine.shape == own.shape
    # The engine fits its statistics on other squares of the tissue, and its file is JPEG.
    assert np.median(np.abs(engine - own)) < 40


def test_own_slides_join_the_phantoms(work, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    tile = Image.fromarray(np.asarray(read_tiles(CONFIG, work, "train", KI67).pixels[0])).resize((192, 192))
    tile.save(folder / "a.png")
    assert [source.mpp for source in own_sources([folder], KI67, 0.5)] == [0.5]
    with pytest.raises(FileNotFoundError, match="no slide"):
        own_sources([tmp_path / "none"], HE, None)
    (tmp_path / "work").mkdir()
    for name in ("phantoms", "test", "moved"):
        (tmp_path / "work" / name).symlink_to(work / name)
    prepare(CONFIG, tmp_path / "work", own_sources([folder], KI67, 0.5), 1, lambda *_: None)
    prepared = read_prepared(CONFIG, tmp_path / "work")
    assert prepared.count(KI67, synthetic=False)[0] == 1
    assert prepared.count(KI67, synthetic=True) == read_prepared(CONFIG, work).count(KI67, synthetic=True)


def test_the_way_back_has_weights_of_its_own(work):
    one, other = trained(CONFIG, work), trained(CONFIG, work, TO_HE)
    assert any((a != b).any() for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_another_recipe_does_not_take_these_tiles(work):
    other = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"step_px": 48})})
    with pytest.raises(ValueError, match="another recipe"):
        read_prepared(other, work)
