"""The slide that other tests stand on keeps `Slide.read`'s contract itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.array_slide import ArraySlide
from workers.geometry import Box

RGB = np.random.default_rng(7).integers(0, 250, (11, 13, 3), dtype=np.uint8)
coordinates = st.integers(-6, 16)
sides = st.integers(1, 12)


def test_at_its_own_resolution_pixels_are_untouched():
    slide = ArraySlide(RGB, 0.25)
    np.testing.assert_array_equal(slide.read(Box(0, 0, 13, 11), 0.25), RGB)


@given(coordinates, coordinates, sides, sides, st.sampled_from([0.25, 0.125, 0.3, 0.5, 1.1]))
def test_a_pixel_does_not_depend_on_the_box_it_is_read_with(x, y, width, height, mpp):
    slide = ArraySlide(RGB, 0.25)
    whole = slide.read(Box(-6, -6, 40, 40), mpp)
    part = slide.read(Box(x, y, width, height), mpp)
    np.testing.assert_array_equal(part, whole[y + 6 : y + 6 + height, x + 6 : x + 6 + width])
    assert part.flags.c_contiguous
    assert part.dtype == np.uint8


@pytest.mark.parametrize("box", [Box(-4, 0, 4, 4), Box(13, 0, 4, 4), Box(0, -4, 4, 4), Box(0, 11, 4, 4)])
def test_outside_is_white(box):
    assert (ArraySlide(RGB, 0.25).read(box, 0.25) == 255).all()


def test_the_whole_is_the_bounds_where_none_are_given():
    assert ArraySlide(RGB, 0.25).info.bounds == Box(0, 0, 13, 11)
    assert ArraySlide(RGB, 0.25, Box(1, 2, 3, 4)).info.bounds == Box(1, 2, 3, 4)
