"""Optical density, and masks looked at in strips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quality import masks
from workers.quality.density import densities, mean, spread


def test_white_has_no_density_and_a_tenth_of_the_light_has_density_one():
    red, green, blue = densities(np.array([[[255, 25, 0]]], dtype=np.uint8))
    assert red == pytest.approx(0)
    assert green == pytest.approx(-np.log10(26 / 256), rel=1e-6)
    assert blue == pytest.approx(np.log10(256), rel=1e-6)


def test_mean_and_spread():
    channels = tuple(np.array([value], dtype=np.float32) for value in (0.1, 0.6, 0.2))
    assert mean(channels) == pytest.approx(0.3)
    assert spread(channels) == pytest.approx(0.5)


@given(height=st.integers(1, 2000))
def test_strips_cut_the_rows_without_gaps(height):
    covered = []
    for rows, seen, inner in masks.strips(height):
        assert 0 <= seen.start <= rows.start < rows.stop <= seen.stop <= height
        assert seen.start == max(0, rows.start - masks.MARGIN_ROWS)
        assert seen.stop == min(height, rows.stop + masks.MARGIN_ROWS)
        assert list(range(seen.start, seen.stop))[inner] == list(range(rows.start, rows.stop))
        covered += range(rows.start, rows.stop)
    assert covered == list(range(height))


@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)), most=st.integers(1, 9))
def test_holes_equal_the_slow_reference(mask, most):
    np.testing.assert_array_equal(masks.without_holes(mask, most), mask | _slow_pieces(~mask, most))


def test_pieces_below_the_least_are_specks():
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=bool)
    wanted = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=bool)
    np.testing.assert_array_equal(masks.without_specks(mask, 2), wanted)
    np.testing.assert_array_equal(masks.without_specks(mask, 1), mask)
    assert not masks.without_specks(mask, 4).any()


def _slow_pieces(gaps: np.ndarray, most: int) -> np.ndarray:
    """Pieces of up to `most` pixels that do not touch the border, by walking them pixel by pixel."""
    found = np.zeros_like(gaps)
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(gaps), strict=True)}
    while left:
        piece, front = set(), [left.pop()]
        while front:
            y, x = front.pop()
            piece.add((y, x))
            near = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left
            left -= near
            front += near
        bottom, right = gaps.shape[0] - 1, gaps.shape[1] - 1
        if len(piece) <= most and not any(y in (0, bottom) or x in (0, right) for y, x in piece):
            for at in piece:
                found[at] = True
    return found
