"""Specks and holes of masks, beside scikit-image's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.measure import label
from skimage.morphology import remove_small_holes, remove_small_objects

from workers.quality.masks import without_holes, without_specks

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(mask=MASKS, least_px=st.integers(0, 12))
def test_specks_are_those_of_scikit_image(mask: NDArray[np.bool_], least_px: int) -> None:
    expected = remove_small_objects(mask, max_size=max(0, least_px - 1))
    np.testing.assert_array_equal(without_specks(mask, least_px), expected)


@given(mask=MASKS, most_px=st.integers(0, 12))
def test_holes_are_those_of_scikit_image_but_for_what_is_open_to_the_border(
    mask: NDArray[np.bool_], most_px: int
) -> None:
    if not mask.any():
        return
    gaps = label(~mask, connectivity=1)
    at_border = {number for side in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]) for number in side} - {0}
    expected = remove_small_holes(mask, max_size=most_px) & ~np.isin(gaps, list(at_border))
    np.testing.assert_array_equal(without_holes(mask, most_px), expected)


@pytest.mark.parametrize("empty", [np.zeros((4, 5), np.bool_), np.ones((4, 5), np.bool_)])
def test_a_mask_of_one_value_stays_as_it_is(empty: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(without_specks(empty, 3), empty)
    np.testing.assert_array_equal(without_holes(empty, 30), empty)
