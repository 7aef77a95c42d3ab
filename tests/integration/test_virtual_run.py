"""A package that makes a virtual stain: its slide in every form, and that every form says what it is."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from models.measures_spec import AreasMeasure
from tests import making
from tests.packages_made import heads_package, rewritten, thresholds_package, tissue_like
from tests.unit.outputs.test_dzi import Viewer
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.outputs.marks import MARK
from workers.outputs.picture import ALARM
from workers.review.verify import verify_result

SHOWS = "Negative (virtual stain)"


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> Path:
    pixels = np.full((1400, 1700, 3), 250, np.uint8)
    pixels[200:1000, 300:1300] = tissue_like(800, seed=4, width_px=1000)
    return making.write_ome(tmp_path_factory.mktemp("slide") / "slide.ome.tif", pixels, mpp=0.5)


@pytest.fixture(scope="module")
def request_(slide, tmp_path_factory) -> RunRequest:
    """Two pictures, one of which is marked as virtual."""
    folder = tmp_path_factory.mktemp("virtual")
    package = rewritten(heads_package(folder), folder / "marked", lambda m: m["outputs"][0].update(virtual=SHOWS))
    return RunRequest(slide=slide, package=str(package.folder), out=folder / "out", tile_px=512)


@pytest.fixture(scope="module")
def result(request_):
    return run_slide(request_, say_nothing, threading.Event())


def test_the_deep_zoom_image_is_the_map(request_, result):
    stored = zarr.open_group(request_.out / "maps" / "negative.ome.zarr", mode="r")
    viewer = Viewer(request_.out / "negative.dzi")
    for level, dataset in enumerate(stored.attrs["ome"]["multiscales"][0]["datasets"]):
        seen, _ = viewer.level(viewer.finest - level)
        difference = np.abs(seen.astype(int) - stored[dataset["path"]][...].transpose(1, 2, 0))
        assert seen.shape[0] > 300 and difference.mean() < 4
        if level == 0:
            analysed = (seen != 255).any(axis=-1)
            assert analysed[250:950, 350:1250].all() and not analysed[1150:].any()
    assert viewer.rects


def test_every_form_of_it_is_marked_and_the_other_picture_is_not(request_, result):
    out = request_.out
    (part,) = result.virtual
    assert (part.output, part.shows, part.mark, part.measures) == ("negative", SHOWS, MARK, ())
    assert [w.slug for w in result.warnings].count("virtual-stain") == 1
    assert MARK in (out / "negative.dzi").read_text() and not (out / "picture.dzi").exists()
    for name, is_marked in (("negative", True), ("picture", False)):
        with tifffile.TiffFile(out / f"{name}.ome.tif") as file:
            assert (MARK in file.ome_metadata) == is_marked
        attributes = (out / "maps" / f"{name}.ome.zarr" / "zarr.json").read_text()
        assert (MARK in attributes) == is_marked
        with Image.open(out / ("overview.png" if is_marked else f"overview-{name}.png")) as image:
            assert (np.asarray(image) == ALARM).all(axis=-1).any() == is_marked


def test_the_result_holds_the_deep_zoom_image_and_verifies(request_, result):
    folder = next(part for part in result.folders if part.path == "negative_files")
    assert folder.media_type == "image/jpeg" and folder.files > 20
    assert next(part for part in result.files if part.path == "negative.dzi").media_type == "application/xml"
    assert not [check for check in verify_result(request_.out).checks if check.status == "failed"]


def test_it_can_be_left_away_and_asked_for(request_, result, tmp_path):
    """In one folder: what an earlier run left of a form that is not wanted any more goes."""
    without = run_slide(replace(request_, dzi=False), say_nothing, threading.Event())
    assert not (request_.out / "negative.dzi").exists() and not (request_.out / "negative_files").exists()
    assert {part.path for part in without.folders} == {"maps/negative.ome.zarr", "maps/picture.ome.zarr"}
    both = run_slide(replace(request_, dzi=True), say_nothing, threading.Event())
    assert {part.path for part in both.folders} >= {"negative_files", "picture_files"}
    again = run_slide(request_, say_nothing, threading.Event())
    assert (again.files, again.folders) == (result.files, result.folders)


def test_another_package_in_the_folder_leaves_none_of_it(request_, result, tmp_path):
    package = thresholds_package(tmp_path)
    measured = rewritten(package, tmp_path / "m", lambda m: m.update(measures=[AREAS.model_dump()]))
    other = replace(request_, package=str(measured.folder), overwrite=True)
    told = run_slide(other, say_nothing, threading.Event())
    assert not (request_.out / "negative_files").exists() and told.virtual == ()
    assert not [check for check in verify_result(request_.out).checks if check.status == "failed"]
    found = json.loads((request_.out / "outlines-areas.geojson").read_bytes())["features"]
    total = sum(f["properties"]["measurements"]["Area mm^2"] for f in found)
    assert 0 < total <= sum(value for name, value in told.scores["areas"].items() if name.endswith("_mm2"))


AREAS = AreasMeasure(output="out", outlines_mm2=0.0001)
