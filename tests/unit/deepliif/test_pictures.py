import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.deepliif import slow
from tests.unit.deepliif.making import mask_of, masks, picture_for
from workers.deepliif import pictures
from workers.deepliif.cells import find_cells
from workers.deepliif.pictures import draw_borders, overlay, refined
from workers.deepliif.scoring import score_cells
from workers.deepliif.thresholds import Thresholds


@pytest.fixture(autouse=True, scope="module")
def _small_bands():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "BAND_ROWS", 3)
        yield


@settings(max_examples=25, deadline=None)
@given(masks, st.integers(0, 6))
def test_borders_and_pictures_are_those_of_the_slow_rules(seg, size):
    ihc = picture_for(seg)
    cells, labels = find_cells(seg, Thresholds())
    score = score_cells(cells, Thresholds(noise_px=0, size_px=size))
    height, width = seg.shape[:2]
    found = slow.components(slow.classes(seg))
    expected = slow.borders(found, score.is_counted, score.is_positive, width, height)
    border = draw_borders(labels, cells, score)
    over, clean = ihc.copy(), np.zeros_like(seg)
    for i, cell in enumerate(found):
        for x, y in cell:
            if score.is_counted[i]:
                clean[y, x] = (255, 0, 0) if score.is_positive[i] else (0, 0, 255)
    for (x, y), kind in expected.items():
        over[y, x] = (255, 0, 0) if kind == 1 else (0, 0, 255)
        clean[y, x] = (0, 255, 0)
    assert {(x, y): border[y, x] for y, x in zip(*np.nonzero(border), strict=True)} == expected
    assert (overlay(ihc, border) == over).all()
    assert (refined(border, labels, score) == clean).all()


def test_a_border_by_hand():
    cells, labels = find_cells(mask_of([*["......"] * 4, "...rr.", "...rr.", *["......"] * 2]), Thresholds())
    border = draw_borders(labels, cells, score_cells(cells, Thresholds(noise_px=0, size_px=0)))
    # The first pixel (3, 4) draws nothing on its neighbours, but is border itself and grows.
    assert ["".join(map(str, row)) for row in border] == [
        "000000",
        "001111",
        "011111",
        "111111",
        "111101",
        "111001",
        "111111",
        "111111",
    ]
