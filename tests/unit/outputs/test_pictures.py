import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.unit.outputs.samples import CLASSES, make_frame, make_spec, random_values, store
from workers.geometry import Box
from workers.measures.cells import Cell
from workers.measures.points import Point
from workers.outputs import overview as overview_module
from workers.outputs.circles import draw_circle, write_circles
from workers.outputs.colours import paint
from workers.outputs.detail import RING_UM, densest_field, read_outlines, write_detail
from workers.outputs.findings import write_findings
from workers.outputs.labels import Labels
from workers.outputs.overview import draw_borders, picture_mpp, write_overview
from workers.outputs.picture import BAND_PX, MIN_WIDTH_PX, resize, scale_bar
from workers.outputs.place import place_of
from workers.outputs.pyramid import build_pyramid

GREEN = CLASSES[1].colour


def _open(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _inside(picture, width, height):
    left = (picture.shape[1] - width) // 2
    return picture[BAND_PX : BAND_PX + height, left : left + width]


@pytest.mark.parametrize(
    ("mpp", "width", "expected"),
    [
        (0.5, 2000, (200, "200 um")),
        (25, 2000, (10000, "10 mm")),
        (0.125, 720, (10, "10 um")),
        (5, 2000, (2000, "2 mm")),
    ],
)
def test_scale_bars_are_round_and_up_to_a_fifth_of_the_width(mpp, width, expected):
    assert scale_bar(mpp, width) == expected


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.7, 3.0, 44.0])
def test_scale_bars_are_never_tiny(mpp):
    length, _ = scale_bar(mpp, 1000)
    assert 0.08 <= length / (mpp * 1000) <= 0.2 + 1e-9


def test_pixels_shrink_to_their_means():
    pixels = np.array([[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]], dtype=np.uint8)
    assert resize(pixels, 1, 1).tolist() == [[[100, 100, 100]]]


def test_borders_are_drawn_inside_of_what_they_surround():
    classes = np.zeros((20, 20), dtype=np.uint8)
    classes[5:15, 5:15] = 1
    slide = np.full((20, 20, 3), 200, dtype=np.uint8)
    drawn = (draw_borders(slide, classes, make_spec(20, 20)) == GREEN).all(axis=-1)
    expected = np.zeros((20, 20), dtype=bool)
    expected[5:15, 5:15] = True
    expected[7:13, 7:13] = False
    np.testing.assert_array_equal(drawn, expected)


def test_a_small_slide_shows_its_nuclei_where_they_are(tmp_path):
    spec, frame = make_spec(100, 60, shard=64, chunk=64), make_frame(100, 60)
    values = np.zeros((60, 100), dtype=np.uint8)
    values[20:30, 40:50] = 1
    store(tmp_path, spec, values)
    path = tmp_path / "overview.png"
    thumbnail = np.full((30, 50, 3), 230, dtype=np.uint8)
    write_overview(path, tmp_path, spec, frame, thumbnail=thumbnail, title="A small slide")
    assert picture_mpp(spec, frame) == 0.125
    picture = _open(path)
    assert picture.shape[1] == MIN_WIDTH_PX
    ys, xs = np.nonzero((_inside(picture, 400, 240) == GREEN).all(axis=-1))
    assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (160, 200, 80, 120)


def test_a_large_slide_is_tinted_by_how_much_is_covered(tmp_path, monkeypatch):
    monkeypatch.setattr(overview_module, "SIDE_PX", 100)
    spec, frame = make_spec(800, 400, shard=256, chunk=64), make_frame(800, 400)
    values = np.zeros((400, 800), dtype=np.uint8)
    # Squares of 2 x 2 px, a quarter of the area: the majority of a coarse pixel is background everywhere.
    values[:, 400:] = np.kron(np.tile([[1, 0], [0, 0]], (100, 100)), np.ones((2, 2), dtype=np.uint8))
    values[200:, :100] = 1
    store(tmp_path, spec, values)
    build_pyramid(tmp_path, spec)
    path = tmp_path / "overview.png"
    white = np.full((40, 80, 3), 255, dtype=np.uint8)
    write_overview(path, tmp_path, spec, frame, thumbnail=white, title="Large")
    inside = _inside(_open(path), 100, 50).astype(int)
    green = np.array(GREEN)
    full, empty, sparse = inside[30:, :10], inside[:, 20:45], inside[:, 55:]
    assert np.abs(full - np.rint(255 * 0.15 + green * 0.85)).max() <= 1
    assert (empty == 255).all()
    assert np.abs(sparse - np.rint(255 * (1 - 0.85 / 2) + green * 0.85 / 2)).max() <= 1


@pytest.mark.parametrize("kind", ["heat", "image"])
def test_heat_and_images_make_pictures(tmp_path, kind):
    spec, frame = make_spec(90, 70, kind, shard=64, chunk=64), make_frame(90, 70)
    store(tmp_path, spec, random_values(spec))
    path = tmp_path / "overview.png"
    write_overview(path, tmp_path, spec, frame, thumbnail=np.full((7, 9, 3), 255, dtype=np.uint8), title=kind)
    inside = _inside(_open(path), 360 * (2 if kind == "image" else 1) + (8 if kind == "image" else 0), 280)
    assert np.unique(inside.reshape(-1, 3), axis=0).shape[0] > 50
    if kind == "image":
        values = random_values(spec).transpose(1, 2, 0)
        np.testing.assert_array_equal(inside[2::4, 368 + 2 :: 4], values)


@pytest.mark.parametrize("height", range(33, 45))
def test_a_coarse_map_fits_slides_of_any_height(tmp_path, height):
    frame = make_frame(101, height)
    spec = replace(make_spec(26, -(-height // 4), "heat", shard=64, chunk=64), stride_px=4)
    values = np.zeros((spec.height_px, spec.width_px), dtype=np.uint8)
    values[-1] = 255
    store(tmp_path, spec, values, frame)
    path = tmp_path / "overview.png"
    write_overview(path, tmp_path, spec, frame, thumbnail=np.full((9, 9, 3), 255, dtype=np.uint8), title="Coarse")
    inside = _inside(_open(path), 101, height)
    dark = (inside != 255).any(axis=(1, 2))
    first = (spec.height_px - 1) * 4
    assert dark[first:].all() and not dark[:first].any()


def test_probabilities_of_several_classes_have_no_single_picture():
    with pytest.raises(ValueError, match="palette"):
        paint(np.zeros((3, 4, 4), dtype=np.uint8), make_spec(4, 4, "probabilities"))


def test_the_heat_ramp_gets_darker_all_the_way():
    colours = paint(np.arange(256, dtype=np.uint8)[None], make_spec(256, 1, "heat"))[0].astype(int)
    assert (np.diff(colours @ (299, 587, 114)) <= 0).all() and colours[0].tolist() == [255, 255, 255]


def _cell(index, x, y):
    outline = np.array([[x - 3, y - 3], [x + 3, y - 3], [x + 3, y + 3], [x - 3, y + 3]], dtype=np.int32)
    return Cell(index, float(x), float(y), Box(x - 3, y - 3, 6, 6), 9.0, outline)


LABELS = Labels(CLASSES[1])


def _table(folder, cells, place):
    return write_findings(folder, "cells", cells, place, LABELS)[1]


def test_the_densest_field_is_found(tmp_path):
    rng = np.random.default_rng(3)
    frame = make_frame(1000, 800)
    place = place_of(frame)
    crowd = [(int(x), int(y)) for x, y in zip(rng.integers(560, 620, 40), rng.integers(300, 360, 40), strict=True)]
    spread = [(int(x), int(y)) for x, y in zip(rng.integers(5, 995, 60), rng.integers(5, 795, 60), strict=True)]
    table = _table(tmp_path, [_cell(i, x, y) for i, (x, y) in enumerate(crowd + spread)], place)
    box = densest_field(table, place, 1000, 800, field_px=128)
    assert (box.width, box.height) == (128, 128)
    assert sum(box.contains(Box(x, y, 1, 1)) for x, y in crowd) == 40


def test_a_field_larger_than_the_map_is_the_map(tmp_path):
    place = place_of(make_frame(100, 80))
    table = _table(tmp_path, [_cell(0, 50, 40)], place)
    assert densest_field(table, place, 100, 80) == Box(0, 0, 100, 80)
    assert densest_field(_table(tmp_path / "none", [], place), place, 100, 80) == Box(0, 0, 100, 80)


def test_outlines_come_back_in_map_px(tmp_path):
    place = place_of(make_frame(100, 80, scale=2.5))
    table = _table(tmp_path, [_cell(0, 20, 20), _cell(1, 70, 20)], place)
    ((name, outline),) = read_outlines(table, place, Box(60, 0, 40, 40))
    assert name == "nucleus"
    np.testing.assert_allclose(outline, [[67, 17], [73, 17], [73, 23], [67, 23], [67, 17]])


def test_a_point_comes_back_as_a_ring_around_it(tmp_path):
    place = place_of(make_frame(100, 80, scale=2.5))
    table = write_findings(tmp_path, "points", [Point(0, 70.5, 20.25, 0.9)], place, LABELS)[1]
    ((_, ring),) = read_outlines(table, place, Box(60, 0, 40, 40))
    np.testing.assert_allclose(np.hypot(*(ring - (70.5, 20.25)).T), RING_UM / 0.5)
    np.testing.assert_allclose((ring.min(axis=0) + ring.max(axis=0)) / 2, (70.5, 20.25), atol=0.2)


def test_a_circle_is_drawn_in_its_colour_within_white_and_cut_at_the_border():
    pixels = np.full((40, 60, 3), 100, dtype=np.uint8)
    drawn = draw_circle(pixels, (0.0, 20.0), 15.0, (220, 40, 40), 2)
    ys, xs = np.nonzero((drawn == (220, 40, 40)).all(axis=-1))
    assert np.abs(np.hypot(xs, ys - 20) - 15).max() < 2.5
    assert (xs.min(), ys.min(), ys.max()) == (0, pytest.approx(5, abs=1), pytest.approx(35, abs=1))
    assert (drawn == 255).all(axis=-1).any()
    assert (pixels == 100).all() and (drawn[:, 30:] == 100).all()


def test_circles_are_annotations_of_closed_rings(tmp_path):
    circles = [{"x_px": 100.0, "y_px": 50.0, "radius_px": 30.0, "count": 4}]
    place = place_of(make_frame(100, 80))
    write_circles(tmp_path / "c.geojson", circles, place, name="hotspot", colour=(220, 40, 40))
    document = json.loads((tmp_path / "c.geojson").read_text())
    (feature,) = document["features"]
    assert document["histoserve"] == json.loads(json.dumps(place.metadata()))
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["name"] == "hotspot 1"
    assert feature["properties"]["measurements"] == {"Count": 4}
    (ring,) = feature["geometry"]["coordinates"]
    assert ring[0] == ring[-1] and len(ring) == 73
    np.testing.assert_allclose(np.hypot(*(np.array(ring) - (100, 50)).T), 30, atol=0.01)


def test_the_detail_shows_outlines_where_cells_are(tmp_path):
    place = place_of(make_frame(300, 300))
    table = _table(tmp_path, [_cell(0, 120, 130)], place)
    box, path = Box(100, 100, 250, 240), tmp_path / "detail.png"
    pixels = np.full((240, 250, 3), 220, dtype=np.uint8)
    write_detail(path, pixels, box, table, place=place, labels=LABELS, title="Densest field")
    ys, xs = np.nonzero((_inside(_open(path), 750, 720) == GREEN).all(axis=-1))
    assert abs(xs.min() - 51) <= 1 and abs(xs.max() - 69) <= 1 and abs(ys.min() - 81) <= 1 and abs(ys.max() - 99) <= 1
