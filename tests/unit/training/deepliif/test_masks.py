import numpy as np
import pytest

from training.deepliif.masks import draw_mask, interiors, number_cells
from workers.deepliif.cells import find_cells
from workers.deepliif.thresholds import Thresholds


def two_cells(*corners, size=10, side=26):
    instances = np.zeros((side, side), np.int32)
    for number, (y, x) in enumerate(corners, 1):
        instances[y : y + size, x : x + size] = number
    return instances


@pytest.mark.parametrize("second", [(4, 14), (14, 4), (14, 14)], ids=["side by side", "below", "corner to corner"])
def test_cells_that_touch_are_found_as_two_by_deepliifs_rules(second):
    seg = draw_mask(two_cells((4, 4), second), np.array([True, False]), 2)
    cells, _ = find_cells(seg, Thresholds())
    assert len(cells) == 2
    assert cells.size_px.tolist() == [36, 36]
    assert sorted(cells.is_voted_positive.tolist()) == [False, True]


def test_the_boundary_is_as_wide_as_asked_for_and_green():
    seg = draw_mask(two_cells((4, 4)), np.array([True]), 2)
    assert seg[8, 4:14].tolist() == [[0, 255, 0]] * 2 + [[255, 0, 0]] * 6 + [[0, 255, 0]] * 2
    assert not seg[:4].any() and not seg[14:].any()


def test_the_edge_of_the_picture_is_no_boundary():
    inner = interiors(two_cells((0, 0)), 2)
    assert (inner[:8, :8] == 1).all() and inner.sum() == 64


def test_a_thin_cell_keeps_part_of_itself_and_a_thick_one_beside_it_its_boundary():
    instances = np.zeros((20, 20), np.int32)
    instances[3:6, 2:18] = 1
    instances[10:18, 2:18] = 2
    inner = interiors(instances, 2)
    assert (inner == 1).sum() == 3 * 16
    assert (inner == 2).sum() == 4 * 12


def test_cells_are_numbered_anew_whatever_their_names():
    instances, names = number_cells(np.array([[0, 7], [7, 900]]))
    assert instances.tolist() == [[0, 1], [1, 2]] and names.tolist() == [7, 900]
    full, names = number_cells(np.array([[5, 5], [6, 6]]))
    assert full.tolist() == [[1, 1], [2, 2]] and names.tolist() == [5, 6]
