"""The border of the scan is a sharp line to white: it must not make blurred tissue look sharp."""

import numpy as np
import pytest
from scipy import ndimage

from tests.array_slide import ArraySlide
from workers.geometry import Box
from workers.quality import TissueMask, estimate_focus
from workers.quality.focus import MIN_SIDE_PX, SQUARE_PX


def _slide(shape, sigma, bounds=None, mpp=0.5):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 0.6)
    grey = ndimage.gaussian_filter(np.clip(140 + 50 * noise / noise.std(), 0, 255), sigma, mode="nearest")
    if bounds:
        inside = np.zeros(shape, dtype=bool)
        inside[bounds.y : bounds.bottom, bounds.x : bounds.right] = True
        grey = np.where(inside, grey, 255)
    return ArraySlide(np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2), mpp, bounds)


def _everywhere(shape):
    mask = np.ones((-(-shape[0] // 4), -(-shape[1] // 4)), dtype=bool)
    return TissueMask(mask, ~mask, 2.0, 0.5)


@pytest.mark.parametrize(("sigma", "wanted"), [(0, 1.0), (3, 0.0)])
@pytest.mark.parametrize("shape", [(500, 500), (512, 680), (330, 1000)])
def test_squares_across_the_border_are_judged_by_what_was_scanned(shape, sigma, wanted):
    assert estimate_focus(_slide(shape, sigma), _everywhere(shape)).in_focus == wanted


@pytest.mark.parametrize(("sigma", "wanted"), [(0, 1.0), (3, 0.0)])
def test_so_are_those_across_the_bounds(sigma, wanted):
    slide = _slide((800, 800), sigma, Box(70, 90, 500, 601))
    report = estimate_focus(slide, _everywhere((800, 800)))
    assert report.in_focus == wanted
    assert all(slide.info.bounds.contains(square.box) for square in report.squares)


def test_a_sliver_of_a_square_is_not_judged():
    shape = (SQUARE_PX, SQUARE_PX + MIN_SIDE_PX - 1)
    assert [square.box.width for square in estimate_focus(_slide(shape, 0), _everywhere(shape)).squares] == [SQUARE_PX]


def test_a_border_within_a_pixel_is_left_out():
    """Level 0 is 0.3 um/px: the last pixel at 0.5 um/px is partly outside."""
    shape = (400, 400)
    report = estimate_focus(_slide(shape, 4, mpp=0.3), _everywhere(shape))
    assert report.in_focus == 0.0
