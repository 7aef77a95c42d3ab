"""The heat map: which squares have a ratio, and what is painted."""

import numpy as np
import pytest
from PIL import Image

from workers.measures.lattice import Lattice
from workers.outputs.heat import NOTHING, Heat, ramp, window_ratios, write_heat
from workers.outputs.picture import BAND_PX
from workers.outputs.squares import draw_squares


def heat_of(positive: np.ndarray, negative: np.ndarray, analysed: np.ndarray) -> Heat:
    """Squares of 20 map px at 1 um."""
    rows, columns = positive.shape
    return Heat(np.stack((positive, negative, analysed)), Lattice(20, 20, columns, rows), 1.0)


def test_the_ratio_is_of_the_five_by_five_squares_around():
    positive, negative = np.zeros((6, 7), dtype=np.int64), np.zeros((6, 7), dtype=np.int64)
    positive[0, 0], negative[2, 2] = 300, 100
    found = window_ratios(heat_of(positive, negative, np.full((6, 7), 400)))
    assert found[0, 0] == found[2, 2] == 0.75
    # only the positive square lies within two squares of no place but those above and left of (2, 2)
    assert np.isfinite(found).sum() == 9
    assert (found[np.isfinite(found)] == 0.75).all()


def test_squares_with_little_tissue_or_few_nuclei_show_nothing():
    positive, analysed = np.full((1, 9), 10), np.full((1, 9), 400)
    analysed[0, 2] = 199
    assert np.isnan(window_ratios(heat_of(positive, positive * 0, analysed))).all()
    found = window_ratios(heat_of(positive * 5, positive * 0, analysed))
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 2, 8]


def test_nothing_positive_is_not_the_white_of_glass():
    assert ramp(np.array([0.0])).tolist() == [list(NOTHING)]
    lightness = ramp(np.linspace(0.25, 1, 30)).sum(axis=1)
    assert (np.diff(lightness) < 0).all()


def test_only_tissue_is_painted_and_the_slide_shows_through(tmp_path):
    positive, analysed = np.full((40, 40), 40), np.zeros((40, 40), dtype=np.int64)
    analysed[:, :20] = 400
    thumbnail = np.full((800, 800, 3), 200, dtype=np.uint8)
    thumbnail[:400] = (90, 60, 90)
    write_heat(tmp_path / "heat.png", heat_of(positive, positive, analysed), thumbnail, 1.0, "title")
    picture = np.asarray(Image.open(tmp_path / "heat.png"))[BAND_PX : BAND_PX + 800]
    assert (picture[600, 600] == 200).all() and (picture[200, 600] == 80).all()
    half = ramp(np.array([0.5]))[0]
    assert picture[600, 200] == pytest.approx(half * (1 - 0.6 + 0.6 * 200 / 255), abs=1)
    assert (picture[200, 200] < picture[600, 200]).all()


def test_fields_are_drawn_where_they_lie():
    picture = draw_squares(
        np.full((100, 200, 3), 90, dtype=np.uint8), [{"x_px": 80, "y_px": 40, "side_px": 120}], 0.5, (220, 40, 40), 1
    )
    red = (picture == (220, 40, 40)).all(axis=-1)
    rows, columns = np.flatnonzero(red[:, 60]), np.flatnonzero(red[50])
    assert (rows.min(), rows.max()) == (21, 79)
    assert (columns.min(), columns.max()) == (41, 99)
