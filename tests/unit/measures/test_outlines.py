import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from tests.unit.measures.slow import disc, fill_outline, is_simple, signed_area, slow_components
from workers.geometry import Box
from workers.measures.outlines import grow, trace_outlines
from workers.measures.pixels import Pixels
from workers.measures.simplify import simplify

masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))


def _pixels(mask):
    labels, _ = ndimage.label(mask)
    ys, xs = np.nonzero(labels)
    boxes = [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in ndimage.find_objects(labels)]
    none = np.zeros(len(xs), dtype=np.uint8)
    return Pixels(xs, ys, none, none, labels[ys, xs].astype(np.int64) - 1, np.array(boxes))


def _trace(mask, grow_px=0):
    pixels = _pixels(mask)
    outlines = trace_outlines(pixels, grow_px, Box(0, 0, mask.shape[1], mask.shape[0]))
    firsts = zip(*(values.tolist() for values in pixels.firsts()), strict=True)
    rings = [outlines.points[a:b] for a, b in zip(outlines.starts, outlines.starts[1:], strict=False)]
    return outlines, dict(zip(firsts, rings, strict=True))


@given(masks.filter(np.any), st.integers(0, 3))
def test_an_outline_is_the_rim_of_its_grown_and_filled_component(mask, grow_px):
    outlines, rings = _trace(mask, grow_px)
    expected = slow_components(mask, grow_px)
    assert set(rings) == set(expected)
    for index, (first, ring) in enumerate(rings.items()):
        filled = expected[first][1]
        np.testing.assert_array_equal(fill_outline(ring, mask.shape), filled)
        assert outlines.area_px[index] == filled.sum() == signed_area(ring) / 2
        ys, xs = np.nonzero(filled)
        np.testing.assert_allclose(outlines.centroids[index], (xs.mean() + 0.5, ys.mean() + 0.5))
        assert outlines.boxes[index].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert is_simple(ring)


@given(masks.filter(np.any), st.integers(0, 2))
def test_simplified_outlines_stay_simple_and_close(mask, grow_px):
    outlines, _ = _trace(mask, grow_px)
    starts, points = simplify(outlines.starts, outlines.points)
    assert len(points) <= len(outlines.points)
    for index in range(len(starts) - 1):
        exact = outlines.points[outlines.starts[index] : outlines.starts[index + 1]]
        ring = points[starts[index] : starts[index + 1]]
        assert len(ring) >= 4 and is_simple(ring) and signed_area(ring) > 0
        assert {tuple(p) for p in ring.tolist()} <= {tuple(p) for p in exact.tolist()}
        gone = len(exact) - len(ring)
        assert abs(signed_area(ring) - signed_area(exact)) <= gone


def test_a_square_keeps_its_four_corners():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 3:8] = True
    outlines, rings = _trace(mask)
    assert rings[3, 2].tolist() == [[3, 2], [8, 2], [8, 7], [3, 7]]
    starts, points = simplify(outlines.starts, outlines.points)
    assert starts.tolist() == [0, 4] and len(points) == 4


def test_a_staircase_becomes_a_slope():
    mask = np.tri(20, dtype=bool)
    outlines, _ = _trace(mask)
    starts, points = simplify(outlines.starts, outlines.points)
    assert len(outlines.points) == 42 and len(points) < 8
    assert starts.tolist() == [0, len(points)]


def test_squares_that_meet_at_a_corner_around_a_hole_make_one_simple_ring():
    mask = np.array([[0, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]], dtype=bool)
    _, rings = _trace(mask)
    (ring,) = rings.values()
    assert is_simple(ring) and signed_area(ring) == 2 * 15


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5, 8])
def test_growing_is_dilation_by_a_disc(radius):
    mask = np.random.default_rng(radius).random((40, 50)) > 0.98
    expected = ndimage.binary_dilation(mask, disc(radius))
    np.testing.assert_array_equal(grow(mask, radius), expected)
