import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.slides.resample import KEPT_BITS, WEIGHT_BITS, plan_axis, resample

SCALES = st.sampled_from([0.5, 0.8, 1.0, 1.002, 1.37, 2.0, 2.5, 3.0, 7.9, 16.0]) | st.floats(0.3, 20)


def slow_weights(i: int, scale: float) -> dict[int, int]:
    """The integer weights of one output pixel, written down as the definition reads."""
    reach, centre = max(scale, 1.0), (i + 0.5) * scale - 0.5
    sources = range(math.floor(centre - reach) + 1, math.floor(centre - reach) + 1 + math.ceil(2 * reach) + 1)
    tent = [max(0.0, 1 - abs(j - centre) / reach) for j in sources]
    whole = [int(np.rint(w / sum(tent) * 2**WEIGHT_BITS)) for w in tent]
    whole[int(np.argmax(whole))] += 2**WEIGHT_BITS - sum(whole)
    return {j: w for j, w in zip(sources, whole, strict=True) if w}


def slow_pixel(source, place: tuple[int, int], scale: float) -> list[int]:
    """One output pixel from Python integers; `source` answers (row, column, channel)."""
    pixel, (y, x) = [], place
    for channel in range(3):
        total = 0
        for j, across in slow_weights(x, scale).items():
            column = sum(w * source(k, j, channel) for k, w in slow_weights(y, scale).items())
            total += across * ((column + (1 << WEIGHT_BITS - KEPT_BITS - 1)) >> (WEIGHT_BITS - KEPT_BITS))
        pixel.append((total + (1 << WEIGHT_BITS + KEPT_BITS - 1)) >> (WEIGHT_BITS + KEPT_BITS))
    return pixel


def read(image: np.ndarray, place: tuple[int, int], size: tuple[int, int], scale: float) -> np.ndarray:
    """Resample a box (row, column) of (rows, columns) of an endless image that repeats `image`."""
    rows, columns = (plan_axis(place[i], size[i], scale) for i in (0, 1))
    down = np.arange(rows.start, rows.start + rows.length) % image.shape[0]
    across = np.arange(columns.start, columns.start + columns.length) % image.shape[1]
    return resample(np.ascontiguousarray(image[down][:, across]), rows, columns)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (37, 41, 3), dtype=np.uint8)


@given(first=st.integers(-50, 10**6), count=st.integers(1, 40), scale=SCALES)
def test_weights_sum_to_one_and_are_the_definition(first: int, count: int, scale: float):
    axis = plan_axis(first, count, scale)
    dense = axis.weights.toarray()
    assert (dense.sum(axis=1) == 2**WEIGHT_BITS).all()
    expected = slow_weights(first, scale)
    assert {axis.start + j: w for j, w in enumerate(dense[0].tolist()) if w} == expected


@settings(deadline=None, max_examples=25)
@given(y=st.integers(-9, 9), x=st.integers(-9, 9), scale=st.sampled_from([0.6, 1.3, 2.0, 3.7]))
def test_pixels_equal_the_slow_reference(image: np.ndarray, y: int, x: int, scale: float):
    def source(row: int, column: int, channel: int) -> int:
        return int(image[row % 37, column % 41, channel])

    fast = read(image, (y, x), (3, 2), scale)
    slow = [[slow_pixel(source, (y + dy, x + dx), scale) for dx in range(2)] for dy in range(3)]
    assert fast.tolist() == slow


@settings(deadline=None)
@given(
    scale=SCALES,
    place=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    size=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    origin=st.sampled_from([-13, 0, 99_991]),
)
def test_any_box_is_a_crop_of_a_larger_read(image, scale, place, size, origin):
    (top, left), (height, width) = place, size
    large = read(image, (origin, origin), (26, 26), scale)
    small = read(image, (origin + top, origin + left), size, scale)
    assert np.array_equal(small, large[top : top + height, left : left + width])


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.618, 2.0, 11.3])
def test_one_colour_stays_that_colour(value: int, scale: float):
    flat = np.full((5, 5, 3), value, np.uint8)
    assert (read(flat, (3, -4), (9, 7), scale) == value).all()


def test_factor_two_is_the_tent_one_three_three_one():
    assert slow_weights(5, 2.0) == {9: 256, 10: 768, 11: 768, 12: 256}
    assert plan_axis(5, 1, 2.0).weights.toarray()[0][:4].tolist() == [256, 768, 768, 256]


def test_fine_stripes_turn_grey_instead_of_aliasing():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    for scale in (3.0, 4.4, 7.3):
        seen = read(stripes, (0, 0), (8, 8), scale).astype(int)
        assert np.abs(seen - 127).max() <= 20
