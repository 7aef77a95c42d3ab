import numpy as np
import pytest

from workers.measures.areas import measure_areas


def test_areas_are_pixels_times_their_size():
    parts = [np.array([[0, 1], [1, 255]], dtype=np.uint8), np.full((10, 10), 1, dtype=np.uint8)]
    background, nucleus, border = measure_areas(parts, 3, mpp=2.0)
    assert background == pytest.approx(4e-6) and nucleus == pytest.approx(102 * 4e-6) and border == 0


def test_nothing_has_no_area():
    assert measure_areas([], 2, mpp=0.5) == (0.0, 0.0)
