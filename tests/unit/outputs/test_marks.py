"""Who meets a virtual stain anywhere - in a viewer, in a file, in a picture - is told that it is one."""

import json
from dataclasses import replace

import numpy as np
import ome_zarr_models.v05
import pytest
import tifffile
import yaozarrs
import zarr
from PIL import Image

from tests.unit.outputs.samples import make_frame, make_spec, random_values, store
from workers.outputs.maps import create_maps
from workers.outputs.marks import MARK, mark_lines, mark_metadata
from workers.outputs.ome_tiff import write_ome_tiff
from workers.outputs.overview import write_overview
from workers.outputs.picture import ALARM, BAND_PX, MIN_WIDTH_PX, Caption, write_picture

SHOWS = 'Ki-67 <virtual> & "made"'
FRAME = make_frame(100, 60)


@pytest.fixture(params=["image", "classes"])
def spec(request, tmp_path):
    made = replace(make_spec(100, 60, request.param, shard=64, chunk=64), virtual=SHOWS)
    store(tmp_path, made, random_values(made))
    return made


def test_the_ome_zarr_says_it_twice_and_stays_valid(tmp_path, spec):
    path = tmp_path / spec.folder_name
    yaozarrs.validate_zarr_store(str(path))
    group = zarr.open_group(path, mode="r")
    model = ome_zarr_models.v05.Image if spec.kind == "image" else ome_zarr_models.v05.ImageLabel
    multiscale = model.from_zarr(group).ome_attributes.multiscales[0]
    assert MARK in multiscale.name and multiscale.metadata["virtual"]["shows"] == SHOWS
    own = group.attrs["histoserve"]["virtual"]
    assert own["mark"] == MARK and own["shows"] == SHOWS and "not measured" in own["meaning"]


def test_the_ome_tiff_says_it_in_name_description_and_annotation(tmp_path, spec):
    path = tmp_path / "map.ome.tif"
    write_ome_tiff(tmp_path, spec, FRAME, path)
    with tifffile.TiffFile(path) as file:
        document = tifffile.xml2dict(file.ome_metadata)["OME"]
    assert document["Image"]["Name"] == f"{spec.name} ({MARK})"
    assert document["Image"]["Description"].startswith(f"{MARK}. {SHOWS}: made by a network")
    assert "Research use only" in document["Image"]["Description"]
    notes = {note["K"]: note["value"] for note in document["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]}
    assert json.loads(notes["virtual"])["shows"] == SHOWS


def test_what_is_measured_is_not_marked(tmp_path):
    spec = make_spec(100, 60, "image", shard=64, chunk=64)
    store(tmp_path, spec, random_values(spec))
    create_maps(tmp_path, [spec], FRAME)
    path = tmp_path / "map.ome.tif"
    write_ome_tiff(tmp_path, spec, FRAME, path)
    with tifffile.TiffFile(path) as file:
        assert MARK not in file.ome_metadata
    assert MARK not in (tmp_path / spec.folder_name / "zarr.json").read_text()
    assert mark_metadata(None) == {} and mark_lines(None) == ()


def sheet(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("width", [300, 1500])
def test_the_mark_is_a_band_above_the_pixels_and_covers_none(tmp_path, width):
    pixels = np.random.default_rng(1).integers(0, 255, (40, width, 3)).astype(np.uint8)
    write_picture(tmp_path / "marked.png", pixels, Caption("t", [("a", (1, 2, 3))], 0.5, mark_lines("Ki-67 " * 15)))
    write_picture(tmp_path / "plain.png", pixels, Caption("t", [("a", (1, 2, 3))], 0.5))
    marked, plain = sheet(tmp_path / "marked.png"), sheet(tmp_path / "plain.png")
    band_px = len(marked) - len(plain)
    band = marked[BAND_PX : BAND_PX + band_px]
    assert band_px >= 2 * 36 and marked.shape[1] == plain.shape[1] == max(width, MIN_WIDTH_PX)
    assert (band == ALARM).all(axis=-1).mean() > 0.6 and (band == 255).all(axis=-1).sum() > 400
    # Words end before the picture does.
    assert (band[:, [0, -1]] == ALARM).all()
    np.testing.assert_array_equal(np.delete(marked, range(BAND_PX, BAND_PX + band_px), axis=0), plain)


def test_the_overview_of_a_marked_map_is_marked(tmp_path, spec):
    white = np.full((60, 100, 3), 255, np.uint8)
    for name, made in (("marked", spec), ("plain", replace(spec, virtual=None))):
        write_overview(tmp_path / f"{name}.png", tmp_path, made, FRAME, thumbnail=white, title="t")
    marked, plain = sheet(tmp_path / "marked.png"), sheet(tmp_path / "plain.png")
    assert (marked == ALARM).all(axis=-1).any() and len(marked) > len(plain)
    assert not (plain == ALARM).all(axis=-1).any()
