"""The whole PHH3 chain on tiny phantoms: prepare, train, evaluate, annotate, read back; and the real tables."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from training.mitosis.phh3.commands import app

RUNNER = CliRunner()
RECIPE = """
seed = 3
[net]
width = 0.0625
norm = true
steps = 10
crop_px = 64
patch_px = 96
[loop]
epochs = 2
batch = 32
rate = 3e-3
threads = 1
[augment]
letters = "REB"
[phantom]
train = 1
validation = 1
test = 1
side_px = 512
mitoses = [0.15]
tumour = 1.0
shift_um = 20.0
turn_deg = 0.3
specks_per_mm2 = 1000.0
[registration.whole]
mpp = 1.0
tile_um = 60.0
range_um = 30.0
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder in which the recipe was prepared and trained."""
    folder = tmp_path_factory.mktemp("phh3")
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    for command in ("prepare", "train"):
        done = run(folder, command)
        assert done.exit_code == 0, done.output
    return folder


def run(folder: Path, command: str, *more: str):
    return RUNNER.invoke(app, [command, *more, "--config", str(folder / "recipe.toml"), "--work", str(folder)])


def test_the_report_tells_of_places_and_kinds(work):
    done = run(work, "evaluate", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads((work / "report.json").read_text("utf-8"))
    pair = report["pairs"][0]
    assert report["synthetic"]
    assert pair["truth"] == sum(pair["phh3"][::2])
    assert sum(pair["by_kind"].values()) == pair["candidates"]
    assert pair["by_kind"]["mitosis"] > 5
    assert pair["by_kind"]["artefact"] > 5
    # Figures that touch each other, or a speck, are one candidate; so many lie close here.
    assert pair["candidate_misses"] <= 0.2 * pair["truth"]
    assert pair["before_um"]["median"] > 3 > pair["after_global_um"]["median"] > pair["after_local_um"]["median"]
    for name in ("candidates.png", "global-shift.png"):
        assert (work / "pictures" / name).stat().st_size > 5000


def test_an_annotation_is_a_training_source(work):
    from training.sets.csv_marks import read_csv_marks

    pair, out = work / "data" / "phantoms" / "pair-02", work / "mitoses.csv"
    done = run(work, "annotate", str(pair / "phh3.tiff"), str(pair / "he.tiff"), str(out))
    assert done.exit_code == 0, done.output
    (image,) = read_csv_marks(out, 0.25, pair)
    assert image.path == pair / "he.tiff"
    assert {mark.label for mark in image.marks} == {"mitosis"}


def test_slides_that_do_not_belong_together_are_refused(work):
    folder = work / "data" / "phantoms"
    slides = (folder / "pair-02" / "phh3.tiff", folder / "pair-00" / "he.tiff")
    done = run(work, "annotate", *map(str, slides), str(work / "none.csv"))
    assert done.exit_code == 2
    assert not (work / "none.csv").exists()


def test_training_again_changes_nothing(work):
    before = (work / "cnn2" / "weights.pt").read_bytes()
    assert run(work, "train").exit_code == 0
    assert (work / "cnn2" / "weights.pt").read_bytes() == before


def test_candidates_are_listed_for_readers(work):
    out = work / "candidates.csv"
    slide = work / "data" / "phantoms" / "pair-00" / "phh3.tiff"
    done = RUNNER.invoke(app, ["candidates", str(slide), str(out), "--config", str(work / "recipe.toml")])
    assert done.exit_code == 0, done.output
    lines = out.read_text("utf-8").splitlines()
    assert lines[0] == "image,x,y,area_um2,label"
    assert len(lines) > 5


def test_no_case_is_trained_and_validated_on(work):
    from training.loop.config import load_toml
    from training.mitosis.phh3.config import Phh3Config
    from training.mitosis.phh3.data import load_prepared
    from training.mitosis.phh3.train import split_of, targets_of

    prepared, config = load_prepared(work / "data"), load_toml(work / "recipe.toml", Phh3Config)
    split, cases = split_of(prepared, config), prepared.patches.cases
    assert not set(cases[split.train]) & set(cases[split.validation])
    cell, mitosis = targets_of(prepared.patches, "cnn1"), targets_of(prepared.patches, "cnn2")
    labels = prepared.patches.labels
    np.testing.assert_array_equal(cell, labels > 0)
    np.testing.assert_array_equal(mitosis, labels == 2)


def test_readers_of_real_tables(data_dir):
    from training.mitosis.phh3.commands import reader_tables
    from training.mitosis.phh3.readers import human_reference

    found = human_reference(data_dir, repeats=20)
    every = found.tumours[-1]
    assert (every.tumour, every.regions, every.mitoses) == ("all", 553, 11937)
    assert sum(row.mitoses for row in found.tumours[:-1]) == every.mitoses
    breast = next(row for row in found.tumours if row.tumour == "human breast cancer")
    assert breast.grades == (130, 43, 27)
    assert found.first_two.value == pytest.approx(0.575, abs=0.001)
    assert found.instruments[0].instrument == "microscope"
    assert found.instruments[0].count_kappa.value == pytest.approx(0.716, abs=0.001)
    assert [table.row_count for table in reader_tables(found)] == [8, 6]


def test_without_tables_the_command_says_what_is_missing(tmp_path):
    done = RUNNER.invoke(app, ["readers", "--data", str(tmp_path)])
    assert done.exit_code == 2
