"""A square painted on a slide with a bounds offset lands where it was painted, in every file of a run."""

import json
import threading
from pathlib import Path

import numpy as np
import openslide
import pytest
import tiffslide
import zarr

from models.registry import Package
from tests import making
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.geometry import Box

ORIGIN, SLIDE_PX = (400, 240), (3000, 2600)
SQUARE = Box(ORIGIN[0] + 320, ORIGIN[1] + 560, 240, 160)
"""Where it is painted, in level-0 px of the whole slide."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, made_package) -> Path:
    """Classes by brightness, with the dark ones counted as cells."""
    made: Package = made_package("thresholds")
    folder = tmp_path_factory.mktemp("counting") / "thresholds"
    folder.mkdir()
    for path in made.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((folder / "model.json").read_text())
    manifest["measures"] = [
        {"kind": "cells", "output": "out", "interior": "class-0", "min_area_um2": 100, "max_area_um2": 1e6},
        {"kind": "areas", "output": "out"},
    ]
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module", params=[0.5, 0.25, 0.4], ids=lambda mpp: f"{mpp}um")
def result(request, tmp_path_factory, package: Path) -> tuple[Path, float]:
    """(folder of the run, the slide's mpp): unresampled, halved, and by an odd ratio."""
    pixels = np.full((1600, 2000, 3), (220, 170, 200), dtype=np.uint8)
    pixels[SQUARE.y - ORIGIN[1] : SQUARE.bottom - ORIGIN[1], SQUARE.x - ORIGIN[0] : SQUARE.right - ORIGIN[0]] = (
        60,
        30,
        80,
    )
    folder = tmp_path_factory.mktemp("run")
    slide = making.write_scn(folder / "slide.scn", pixels, ORIGIN, SLIDE_PX, mpp=request.param)
    found = run_slide(RunRequest(slide, str(package), folder / "out"), say_nothing, threading.Event())
    assert found.slide.bounds.model_dump() == {"x": ORIGIN[0], "y": ORIGIN[1], "width": 2000, "height": 1600}
    return folder / "out", request.param


def sides(ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], dtype=float)


PAINTED = np.array([SQUARE.x, SQUARE.y, SQUARE.right, SQUARE.bottom], dtype=float)


def test_in_geojson(result) -> None:
    out, mpp = result
    (feature,) = json.loads((out / "cells.geojson").read_text())["features"]
    corners = np.array(feature["geometry"]["coordinates"][0])
    got = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    # One map pixel is 0.5 um: at 0.25 um that is two of level 0.
    assert np.abs(got - PAINTED).max() <= max(1.0, 0.5 / mpp)


def test_in_ome_zarr(result) -> None:
    out, mpp = result
    group = zarr.open_group(out / "maps/out.ome.zarr", mode="r")
    scale = group.attrs["histoserve"]["level0_affine"][0][0]
    got = sides(*np.nonzero(np.asarray(group["0"]) == 0)) * scale
    assert np.abs(got - PAINTED).max() <= max(1.0, 0.5 / mpp)
    transforms = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    pixel_um, first_um = transforms[0]["scale"][-1], transforms[1]["translation"][-1]
    # OME places pixel centres; the centre of level-0 pixel (0, 0) is the origin.
    left_um = got[0] / scale * pixel_um + first_um - pixel_um / 2 + mpp / 2
    assert abs(left_um / mpp - PAINTED[0]) <= max(1.0, 0.5 / mpp)


@pytest.mark.parametrize("library", [openslide.OpenSlide, tiffslide.TiffSlide])
def test_in_ome_tiff_at_every_level(result, library) -> None:
    out, mpp = result
    with library(str(out / "out.ome.tif")) as tiff:
        own_mpp = float(tiff.properties[f"{'openslide' if library is openslide.OpenSlide else 'tiffslide'}.mpp-x"])
        for level, (width, height) in enumerate(tiff.level_dimensions):
            rgb = np.asarray(tiff.read_region((0, 0), level, (width, height)).convert("RGB")).astype(int)
            # class-0 is red, as tests.packages_made paints it.
            got = sides(*np.nonzero((rgb[..., 0] > 150) & (rgb[..., 1] < 100))) * tiff.level_downsamples[level]
            off = np.abs(got * own_mpp / mpp - PAINTED).max()
            assert off <= max(1.0, 0.5 / mpp) * tiff.level_downsamples[level] * 1.01


def test_the_area_is_the_square_s(result) -> None:
    out, mpp = result
    scores = json.loads((out / "result.json").read_text())["scores"]
    painted_mm2 = SQUARE.width * SQUARE.height * (mpp / 1000) ** 2
    assert scores["areas"]["class-0_mm2"] == pytest.approx(painted_mm2, rel=0.03)
    assert scores["cells"]["count"] == 1
