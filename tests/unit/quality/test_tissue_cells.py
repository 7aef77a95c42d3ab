"""`tissue_cells` against a loop over every cell and every mask pixel, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.geometry import Box, Frame
from workers.quality import TissueMask, tissue_cells


def _slow(mask: np.ndarray, ratio: Fraction, shape: tuple[int, int]) -> np.ndarray:
    """A cell covers [r, r + 1) x [c, c + 1) times `ratio`; it counts where that meets the area of a tissue pixel."""
    wanted = np.zeros(shape, dtype=bool)
    pixels = [(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)]
    for row in range(shape[0]):
        for column in range(shape[1]):
            wanted[row, column] = any(
                y < (row + 1) * ratio and y + 1 > row * ratio and x < (column + 1) * ratio and x + 1 > column * ratio
                for y, x in pixels
            )
    return wanted


def _cells(mask: np.ndarray, ratio: Fraction, cell_px: int, shape: tuple[int, int]) -> np.ndarray:
    mask_mpp = 8.0
    mpp = mask_mpp * float(ratio) / cell_px
    frame = Frame(mpp, shape[1] * cell_px, shape[0] * cell_px, mpp, Box(0, 0, 1, 1))
    return tissue_cells(TissueMask(mask, np.zeros_like(mask), mask_mpp, mpp), frame, cell_px, shape)


@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)),
    ratio=st.fractions(Fraction(1, 7), 4, max_denominator=12),
    cell_px=st.sampled_from([1, 3, 64, 256]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@settings(max_examples=100, deadline=None)
def test_equals_the_slow_reference(mask, ratio, cell_px, shape):
    np.testing.assert_array_equal(_cells(mask, ratio, cell_px, shape), _slow(mask, ratio, shape))


def test_a_tissue_pixel_across_a_border_counts_in_both_cells():
    mask = np.array([[False, True, False]])
    np.testing.assert_array_equal(_cells(mask, Fraction(3, 2), 4, (1, 2)), [[True, True]])


def test_a_tissue_pixel_that_ends_at_a_border_does_not_count_beyond_it():
    mask = np.array([[False, True, False, False]])
    np.testing.assert_array_equal(_cells(mask, Fraction(2), 4, (1, 2)), [[True, False]])


@pytest.mark.parametrize("ratio", [Fraction(1, 3), Fraction(5, 2)])
def test_cells_beyond_the_mask_hold_nothing(ratio):
    cells = _cells(np.ones((3, 3), dtype=bool), ratio, 8, (30, 30))
    last = -(-3 // ratio)
    assert cells[:last, :last].all()
    assert not cells[last:].any()
    assert not cells[:, last:].any()
