"""A painted square lands where it was painted, in every file we write, read back by other people's libraries."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ome_zarr_models.v05
import openslide
import pyarrow.parquet as pq
import pytest
import tifffile
import tiffslide
import yaozarrs
import zarr

from models.manifest import ClassSpec
from workers.geometry import Box, Frame
from workers.measures.cells import CellRule, stream_cells
from workers.outputs.colours import paint
from workers.outputs.findings import write_findings
from workers.outputs.labels import Labels
from workers.outputs.maps import MapSpec, create_maps, fill_of, read_box, write_shard
from workers.outputs.ome_tiff import write_ome_tiff
from workers.outputs.place import place_of
from workers.outputs.pyramid import build_pyramid
from workers.outputs.readers import Source, cells_reader

CLASSES = (
    ClassSpec(name="background", colour=(245, 245, 245), background=True),
    ClassSpec(name="nucleus", colour=(0, 160, 60)),
)
SQUARE = Box(5000, 3200, 720, 400)
"""Where the square is painted, in level-0 px."""
LEVEL0_MPP, MPP, STRIDE = 0.22, 0.5, 2


@dataclass(frozen=True)
class Painted:
    """A slide whose scanned part begins away from level 0's corner, and a map on which the square is painted."""

    folder: Path
    spec: MapSpec
    frame: Frame


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Painted:
    folder = tmp_path_factory.mktemp("outputs")
    bounds = Box(2048, 1024, 8000, 6000)
    scale = MPP / LEVEL0_MPP
    frame = Frame(MPP, int(10048 / scale) + 1, int(7024 / scale) + 1, LEVEL0_MPP, bounds)
    width, height = -(-frame.width_px // STRIDE), -(-frame.height_px // STRIDE)
    spec = MapSpec("nuclei", "classes", 1, STRIDE, width, height, 1024, 256, fill_of("classes"), CLASSES)
    values = np.zeros((height, width), dtype=np.uint8)
    per_px = scale * STRIDE
    left, top, right, bottom = (round(v / per_px) for v in (SQUARE.x, SQUARE.y, SQUARE.right, SQUARE.bottom))
    values[top:bottom, left:right] = 1
    values[:, : round(bounds.x / per_px)] = 255
    _store(folder, spec, frame, values)
    return Painted(folder, spec, frame)


def _store(folder: Path, spec: MapSpec, frame: Frame, values: np.ndarray) -> None:
    create_maps(folder, [spec], frame)
    for y in range(-(-spec.height_px // spec.shard_px)):
        for x in range(-(-spec.width_px // spec.shard_px)):
            box = spec.shard_box(x, y)
            write_shard(folder, spec, x, y, values[..., box.y : box.bottom, box.x : box.right])
    build_pyramid(folder, spec)


def _check_place(left: float, top: float, right: float, bottom: float) -> None:
    """Within one pixel of the map, in level-0 px."""
    one_px = STRIDE * MPP / LEVEL0_MPP
    np.testing.assert_allclose(
        (left, top, right, bottom), (SQUARE.x, SQUARE.y, SQUARE.right, SQUARE.bottom), rtol=0, atol=one_px
    )


def _extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def test_the_square_lands_in_geojson_and_parquet(painted, tmp_path):
    spec, place = painted.spec, place_of(painted.frame, STRIDE)
    read = cells_reader(painted.folder, Source(spec), 1)
    cells = stream_cells(read, spec.width_px, spec.height_px, CellRule(place.mpp, 0, 1e9), block_px=333)
    geojson, parquet, _ = write_findings(tmp_path, "cells", cells, place, Labels(CLASSES[1]))
    collection = json.loads(geojson.read_bytes())
    (feature,) = collection["features"]
    ring = np.array(feature["geometry"]["coordinates"][0])
    _check_place(*ring.min(axis=0), *ring.max(axis=0))
    assert collection["histoserve"]["bounds"] == {"x": 2048, "y": 1024, "width": 8000, "height": 6000}
    row = pq.read_table(parquet).to_pylist()[0]
    middle = SQUARE.x + SQUARE.width / 2, SQUARE.y + SQUARE.height / 2
    np.testing.assert_allclose((row["x_px"], row["y_px"]), middle, rtol=0, atol=place.scale)
    assert row["area_um2"] == pytest.approx(SQUARE.width * SQUARE.height * LEVEL0_MPP**2, rel=0.02)


def test_the_square_lands_in_ome_zarr_at_every_level(painted):
    group = zarr.open_group(painted.folder / painted.spec.folder_name, mode="r")
    multiscale = group.attrs["ome"]["multiscales"][0]
    assert [axis["unit"] for axis in multiscale["axes"]] == ["micrometer", "micrometer"]
    assert len(multiscale["datasets"]) > 1
    for dataset in multiscale["datasets"]:
        scale, translation = dataset["coordinateTransformations"]
        mpp, shift = scale["scale"][1], translation["translation"][1]
        left, top, right, bottom = _extent(group[dataset["path"]][...] == 1)
        # OME-Zarr speaks of pixel centres, the slide of corners: half a pixel on both sides.
        corners = ((np.array([left, top, right, bottom]) - 0.5) * mpp + shift) / LEVEL0_MPP + 0.5
        tolerance = max(1.0, mpp / MPP / STRIDE)
        expected = (SQUARE.x, SQUARE.y, SQUARE.right, SQUARE.bottom)
        np.testing.assert_allclose(corners, expected, rtol=0, atol=tolerance * STRIDE * MPP / LEVEL0_MPP)
    own = group.attrs["histoserve"]
    affine = np.array(own["level0_affine"])
    left, top, right, bottom = _extent(group["0"][...] == 1)
    _check_place(*(affine @ (left, top, 1)), *(affine @ (right, bottom, 1)))


def test_public_validators_accept_the_ome_zarr(painted):
    path = painted.folder / painted.spec.folder_name
    yaozarrs.validate_zarr_store(str(path))
    label = ome_zarr_models.v05.ImageLabel.from_zarr(zarr.open_group(path, mode="r"))
    datasets = label.ome_attributes.multiscales[0].datasets
    assert [dataset.path for dataset in datasets] == [str(level) for level in range(painted.spec.levels)]


@contextmanager
def _opened(library: str, path: Path) -> Iterator[tiffslide.TiffSlide | openslide.OpenSlide]:
    slide = tiffslide.TiffSlide(path) if library == "tiffslide" else openslide.OpenSlide(path)
    try:
        yield slide
    finally:
        slide.close()


@pytest.fixture(scope="module")
def tiff(painted: Painted) -> Path:
    path = painted.folder / "nuclei.ome.tif"
    write_ome_tiff(painted.folder, painted.spec, painted.frame, path)
    return path


@pytest.mark.parametrize("library", ["tiffslide", "openslide"])
def test_the_ome_tiff_opens_at_every_level_in_the_right_place_and_colours(painted, tiff, library):
    spec = painted.spec
    with _opened(library, tiff) as slide:
        assert slide.level_dimensions == tuple(spec.level_size(k) for k in range(spec.levels)) and spec.levels > 1
        for axis in "xy":
            assert float(slide.properties[f"{library}.mpp-{axis}"]) == pytest.approx(MPP * STRIDE, rel=1e-6)
        for level, size in enumerate(slide.level_dimensions):
            seen = np.asarray(slide.read_region((0, 0), level, size))[..., :3]
            expected = paint(read_box(painted.folder, spec, Box(0, 0, *size), level), spec)
            np.testing.assert_array_equal(seen, expected)
        seen = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]
    corners = np.array(_extent((seen == CLASSES[1].colour).all(axis=-1))) * (MPP * STRIDE / LEVEL0_MPP)
    _check_place(*corners)


def test_ome_readers_see_one_pyramid(painted, tiff):
    spec = painted.spec
    with tifffile.TiffFile(tiff) as file:
        (series,) = file.series
        assert file.is_ome and series.axes == "YXS"
        assert [level.shape[:2] for level in series.levels] == [spec.level_size(k)[::-1] for k in range(spec.levels)]
        pages = [page.aspage() for page in file.pages]
        assert [page.is_tiled for page in pages] == [True] * spec.levels
        assert [bool(page.subfiletype & 1) for page in pages] == [False] + [True] * (spec.levels - 1)
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (MPP * STRIDE, "µm")
        notes = tifffile.xml2dict(file.ome_metadata)["OME"]["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]
    told = {note["K"]: note["value"] for note in notes}
    assert json.loads(told["bounds"])["x"] == 2048 and "Research use only" in told["notice"]
    affine = json.loads(told["level0_affine"])
    assert affine[0] == pytest.approx([MPP * STRIDE / LEVEL0_MPP, 0, 0])


def test_the_same_map_gives_the_same_tiff(painted, tiff, tmp_path):
    again = tmp_path / "again.ome.tif"
    write_ome_tiff(painted.folder, painted.spec, painted.frame, again)
    assert again.read_bytes() == tiff.read_bytes()


@pytest.mark.parametrize("kind", ["image", "heat"])
@pytest.mark.parametrize("library", ["tiffslide", "openslide"])
def test_images_and_heat_open_too(tmp_path, kind, library):
    frame = Frame(0.5, 1300, 900, 0.25, Box(0, 0, 2600, 1800))
    spec = MapSpec(kind, kind, 3 if kind == "image" else 1, 1, 1300, 900, 1024, 512, fill_of(kind))
    ramp = np.linspace(0, 255, 1300)[None] * np.linspace(0.2, 1, 900)[:, None]
    planes = np.stack((ramp, 255 - ramp, ramp / 2)) if kind == "image" else ramp
    _store(tmp_path, spec, frame, planes.astype(np.uint8))
    path = tmp_path / "map.ome.tif"
    write_ome_tiff(tmp_path, spec, frame, path)
    with _opened(library, path) as slide:
        for level, size in enumerate(slide.level_dimensions):
            seen = np.asarray(slide.read_region((0, 0), level, size))[..., :3].astype(int)
            expected = paint(read_box(tmp_path, spec, Box(0, 0, *size), level), spec)
            # JPEG at quality 90 without chroma subsampling; heat is lossless.
            assert np.abs(seen - expected).max() <= (12 if kind == "image" else 0)


def test_an_empty_map_makes_a_small_file_that_opens(tmp_path):
    frame = Frame(0.5, 20000, 15000, 0.25, Box(0, 0, 40000, 30000))
    spec = MapSpec("none", "classes", 1, 1, 20000, 15000, 2048, 512, fill_of("classes"), CLASSES)
    create_maps(tmp_path, [spec], frame)
    assert build_pyramid(tmp_path, spec) == ()
    path = tmp_path / "none.ome.tif"
    write_ome_tiff(tmp_path, spec, frame, path)
    assert path.stat().st_size < 10_000_000
    with _opened("openslide", path) as slide:
        assert slide.dimensions == (20000, 15000)
        assert np.asarray(slide.read_region((9000, 9000), 0, (64, 64)))[..., :3].min() == 255
