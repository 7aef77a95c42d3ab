"""The commands one after the other, from images to a package, with a recipe of a few steps."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.registry import resolve
from tests.unit.training.recipe import write_tiny_data
from training.__main__ import main
from training.nuclei.config import DEFAULT_CONFIG
from training.nuclei.package import GOLDEN_SAMPLE

SMALL = {
    "widths": "[4, 4, 4, 4]",
    "depths": "[1, 1, 1, 1]",
    "patch_px": "32",
    "batch": "2",
    "steps": "2",
    "fold_steps": "2",
    "checkpoint_every": "1",
    "tile_px": "64",
    "groups": "2",
}


@pytest.fixture
def recipe(tmp_path):
    """The real recipe's file with a loop a test can afford."""
    text = DEFAULT_CONFIG.read_text("utf-8")
    for key, value in SMALL.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    path = tmp_path / "small.toml"
    path.write_text(text, "utf-8")
    return path


def write_golden(path: Path) -> None:
    """The image nine times side by side under the golden sample's name: a golden tile must be larger than the halo."""
    pixels = np.asarray(Image.open(path))
    Image.fromarray(np.tile(pixels, (3, 3, 1)[: pixels.ndim])).save(path.with_name(f"{GOLDEN_SAMPLE[1]}.png"))
    path.unlink()


@pytest.fixture
def data(tmp_path):
    """The tiny data folder with the golden image and one image of BreCaHAD."""
    folder = write_tiny_data(tmp_path / "data")
    for part in ("images", "labels"):
        write_golden(folder / f"nuclei_dsb2018/{part}/d0.png")
    (folder / "mitosis_brecahad/images").mkdir(parents=True)
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(folder / "mitosis_brecahad/images/Case_1-1.png")
    with (folder / "mitosis_brecahad/cells.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("filename", "class_name", "x_center", "y_center"), ("Case_1-1", "Tumor_nuclei", 9, 9)]
        )
    return folder


def run(command: str, *arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["nuclei", command, *map(str, arguments)])
    assert stop.value.code == 0, command


def test_from_images_to_a_package(tmp_path, recipe, data):
    work, zoo = tmp_path / "work", tmp_path / "zoo"
    common = ("--work", work, "--config", recipe)
    run("prepare", "--data", data, *common)
    run("train", "--fold", "all", *common)
    run("train", *common)
    run("evaluate", "--data", data, *common)
    run("export", "0.1.0", "--zoo", zoo, *common)
    manifest = resolve("nuclei@0.1.0", (zoo,)).manifest
    assert {m.data for m in manifest.metrics} >= {"TNBC, H&E, 40x halved", "BreCaHAD, H&E, never trained on"}
    assert len(list((work / "pictures").glob("*.png"))) == 6


def test_a_fold_that_is_not_there_is_refused(tmp_path, recipe, data, capsys):
    common = ("--work", str(tmp_path / "work"), "--config", str(recipe))
    run("prepare", "--data", data, *common)
    with pytest.raises(SystemExit) as stop:
        main(["nuclei", "train", "--fold", "3", *common])
    assert stop.value.code == 2
    assert "0 to 2" in capsys.readouterr().err
