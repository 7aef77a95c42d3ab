"""Sharpness falls with blur and knows neither contrast nor offset; squares are spread over the tissue."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from tests.array_slide import ArraySlide
from workers.quality import TissueMask, estimate_focus
from workers.quality.focus import MAX_SQUARES, SHARP, SQUARE_PX, sample_squares, sharpness


def _texture(side: int = 256, seed: int = 0) -> np.ndarray:
    """Grains of a few pixels, float32 (side, side)."""
    noise = np.random.default_rng(seed).standard_normal((side, side))
    grains = ndimage.gaussian_filter(noise, 0.6)
    return (grains / grains.std()).astype(np.float32)


def _everywhere(side: int, mpp: float) -> TissueMask:
    mask = np.ones((side, side), dtype=bool)
    return TissueMask(mask, ~mask, mpp, mpp)


def test_sharpness_falls_with_blur():
    texture = _texture()
    values = [sharpness(ndimage.gaussian_filter(texture, sigma)) for sigma in (0, 0.5, 1, 1.5, 2, 3, 5)]
    assert values == sorted(values, reverse=True)
    assert values[0] > SHARP > values[5] > values[-1] >= 0


@pytest.mark.parametrize(("gain", "offset"), [(0.05, 0), (30, 0), (30, 120), (1, -500)])
def test_sharpness_knows_neither_contrast_nor_offset(gain, offset):
    texture = ndimage.gaussian_filter(_texture(), 0.8)
    assert sharpness((gain * texture + offset).astype(np.float32)) == pytest.approx(sharpness(texture), abs=1e-3)


@given(hnp.arrays(np.uint8, (24, 24)))
@settings(max_examples=50, deadline=None)
def test_sharpness_is_a_part(grey):
    assert 0 <= sharpness(grey.astype(np.float32)) <= 1


def test_a_flat_image_has_nothing_fine():
    assert sharpness(np.full((64, 64), 200, dtype=np.float32)) == 0


@pytest.mark.parametrize(("sigma", "wanted"), [(0, 1.0), (3, 0.0)])
def test_a_slide_is_told_sharp_or_blurred(sigma, wanted):
    grey = np.clip(180 + 25 * _texture(1024), 0, 255)
    blurred = ndimage.gaussian_filter(grey, sigma).astype(np.uint8)
    report = estimate_focus(ArraySlide(np.repeat(blurred[..., None], 3, axis=2), 0.5), _everywhere(256, 2.0))
    assert report.in_focus == wanted
    assert len(report.squares) == 16
    assert (report.median >= SHARP) == bool(wanted)
    assert report.as_dict()["in_focus"] == wanted


def test_boxes_are_level_0_pixels():
    grey = np.clip(180 + 25 * _texture(1024), 0, 255).astype(np.uint8)
    report = estimate_focus(ArraySlide(np.repeat(grey[..., None], 3, axis=2), 0.25), _everywhere(128, 2.0))
    assert {(square.box.width, square.box.height) for square in report.squares} == {(512, 512)}
    assert max(square.box.right for square in report.squares) == 1024


def test_a_flat_slide_is_not_judged():
    flat = ArraySlide(np.full((512, 512, 3), 180, dtype=np.uint8), 0.5)
    report = estimate_focus(flat, _everywhere(128, 2.0))
    assert (report.squares, report.in_focus, report.median) == ((), None, None)
    assert report.as_dict()["in_focus"] is None


def test_a_coarse_slide_is_not_judged():
    grey = np.clip(180 + 25 * _texture(1024), 0, 255).astype(np.uint8)
    coarse = ArraySlide(np.repeat(grey[..., None], 3, axis=2), 2.0)
    assert estimate_focus(coarse, _everywhere(256, 8.0)).in_focus is None


def test_no_tissue_no_squares():
    mask = np.zeros((40, 30), dtype=bool)
    assert sample_squares(TissueMask(mask, mask, 8.0, 0.5), 0.5) == []


@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    pieces=st.lists(st.tuples(*[st.floats(0, 1)] * 2, st.integers(1, 80)), min_size=1, max_size=4),
    mask_mpp=st.sampled_from([0.5, 1.9, 8.0, 24.0]),
)
@settings(max_examples=60, deadline=None)
def test_squares_lie_on_tissue_apart_and_in_reading_order(shape, pieces, mask_mpp):
    mask = np.zeros(shape, dtype=bool)
    for y, x, side in pieces:
        row, column = int(y * (shape[0] - 1)), int(x * (shape[1] - 1))
        mask[row : row + side, column : column + side] = True
    boxes = sample_squares(TissueMask(mask, ~mask, mask_mpp, 0.5), 0.5)
    assert 1 <= len(boxes) <= MAX_SQUARES
    assert len({(box.x // SQUARE_PX, box.y // SQUARE_PX) for box in boxes}) == len(boxes)
    scale = mask_mpp / 0.5
    rows, columns = np.nonzero(mask)
    for box in boxes:
        assert box.x % SQUARE_PX == box.y % SQUARE_PX == 0
        across = (columns + 0.5) * scale, (rows + 0.5) * scale
        held = (across[0] >= box.x) & (across[0] < box.right) & (across[1] >= box.y) & (across[1] < box.bottom)
        assert held.any()


def test_far_pieces_are_all_sampled():
    mask = np.zeros((3000, 3000), dtype=bool)
    corners = [(0, 0), (0, 2900), (2900, 0), (2900, 2900)]
    for row, column in corners:
        mask[row : row + 100, column : column + 100] = True
    boxes = sample_squares(TissueMask(mask, ~mask, 8.0, 0.5), 0.5)
    ends = {(box.y * 0.5 / 8 > 1500, box.x * 0.5 / 8 > 1500) for box in boxes}
    assert len(ends) == 4
    assert len(boxes) > MAX_SQUARES // 3
