"""Background: no box meets a cell's box, and the search ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from training.sets.background import background_boxes, tissue_of
from training.sets.marks import Mark, MarkedImage

EMPTY = MarkedImage("one", "case", "drawn", True, Path("none.png"), 0.25, 100, 80, ())
PLACES = st.lists(
    st.tuples(st.floats(-5, 105, allow_subnormal=False), st.floats(-5, 85, allow_subnormal=False)), max_size=12
)


def marked(*places: tuple[float, float], image: MarkedImage = EMPTY) -> MarkedImage:
    return replace(image, marks=tuple(Mark(x, y, "cell") for x, y in places))


@settings(max_examples=40, deadline=None)
@given(places=PLACES, side=st.integers(1, 30), cell=st.integers(1, 30), seed=st.integers(0, 9))
def test_no_box_meets_a_cells_box(places, side, cell, seed):
    found = background_boxes(marked(*places), side, 20, seed, cell_box_px=cell)
    assert (found >= side / 2).all()
    assert (found <= np.array([100, 80]) - side / 2).all()
    for x, y in places:
        across, down = np.abs(found - (x, y)).T
        assert ((across >= (side + cell) / 2) | (down >= (side + cell) / 2)).all()


def test_every_box_there_is_room_for_is_found_once():
    image = replace(marked((10, 10)), width_px=24, height_px=20)
    # Boxes of 8 px: the cell takes 6 to 14; free are corners at x >= 14, and there is no room left, above or below.
    found = background_boxes(image, 8, 1000, 0)
    assert sorted(set(found[:, 0])) == [18.0, 19.0, 20.0]
    assert len(found) == len(np.unique(found, axis=0)) == 3 * 13


def test_touching_is_not_meeting():
    image = replace(marked((4, 4)), width_px=16, height_px=8)
    assert background_boxes(image, 8, 5, 0).tolist() == [[12.0, 4.0]]


def test_without_room_there_are_none():
    assert background_boxes(replace(marked((5, 4)), width_px=16, height_px=8), 8, 5, 0).shape == (0, 2)
    assert background_boxes(EMPTY, 81, 5, 0).shape == (0, 2)
    assert background_boxes(EMPTY, 8, 0, 0).shape == (0, 2)


def test_the_search_of_a_large_image_ends(monkeypatch):
    monkeypatch.setattr("training.sets.background.LEAST_DRAWS", 2000)
    crowded = [(x, y) for x in range(0, 2001, 32) for y in range(0, 2001, 32)]
    image = marked(*crowded, image=replace(EMPTY, width_px=2000, height_px=2000))
    assert len(background_boxes(image, 32, 5, 0)) == 0


def test_boxes_lie_everywhere_and_follow_from_the_seed():
    found = background_boxes(EMPTY, 10, 400, 3)
    assert len(found) == 400
    assert found.mean(axis=0) == pytest.approx([50, 40], abs=3)
    assert found.tolist() == background_boxes(EMPTY, 10, 400, 3).tolist()
    assert found.tolist() != background_boxes(EMPTY, 10, 400, 4).tolist()


def test_boxes_are_kept_on_tissue():
    found = background_boxes(EMPTY, 10, 50, 0, is_tissue=lambda points: points[:, 0] < 30)
    assert len(found) == 50
    assert found[:, 0].max() < 30


def test_tissue_is_where_the_mask_of_the_service_says(tmp_path):
    pixels = np.full((400, 600, 3), 245, np.uint8)
    pixels[100:300, 50:300] = (190, 120, 170)
    Image.fromarray(pixels).save(tmp_path / "piece.png")
    image = replace(EMPTY, path=tmp_path / "piece.png", mpp=1.0, width_px=600, height_px=400)
    is_tissue = tissue_of(image)
    assert is_tissue(np.array([[150.0, 200.0], [450.0, 200.0], [599.9, 399.9]])).tolist() == [True, False, False]
