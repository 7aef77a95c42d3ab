"""Tiles to a network's input: by definition, in both layouts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from models.manifest import InputSpec
from models.preprocess import resize_tiles, to_input

TILES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.just(3)))
MEAN, STD = (0.7, 0.5, 0.6), (0.1, 0.2, 0.3)


@given(TILES)
def test_it_is_scaled_less_mean_over_std(tiles):
    expected = (tiles / 255 - MEAN) / STD
    nhwc = to_input(tiles, InputSpec(layout="NHWC", mean=MEAN, std=STD))
    nchw = to_input(tiles, InputSpec(mean=MEAN, std=STD))
    np.testing.assert_allclose(nhwc, expected, atol=1e-5)
    np.testing.assert_array_equal(nchw, nhwc.transpose(0, 3, 1, 2))
    assert nchw.dtype == np.float32
    assert nchw.flags.c_contiguous


def test_bytes_are_left_as_they_are():
    tiles = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    raw = InputSpec(layout="NHWC", dtype="uint8", scale=1)
    np.testing.assert_array_equal(to_input(tiles, raw), tiles)
    ordered = to_input(tiles, InputSpec(dtype="uint8", scale=1))
    assert ordered.dtype == np.uint8
    np.testing.assert_array_equal(ordered, tiles.transpose(0, 3, 1, 2))


def test_the_tile_is_not_changed():
    tiles = np.full((1, 4, 4, 3), 100, dtype=np.uint8)
    to_input(tiles, InputSpec(mean=MEAN, std=STD))
    assert (tiles == 100).all()


@pytest.mark.parametrize("side", [5, 16])
def test_resizing_is_that_of_pil_tile_by_tile(side):
    tiles = np.random.default_rng(1).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    resized = to_input(tiles, InputSpec(layout="NHWC", dtype="uint8", scale=1, resize_px=max(8, side)))
    size = (max(8, side),) * 2
    for tile, small in zip(tiles, resized, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.fromarray(tile).resize(size, Image.Resampling.BILINEAR)), small)


def test_tiles_of_the_right_size_are_not_touched():
    tiles = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    assert resize_tiles(tiles, 8) is tiles
