"""Pixels in polygons against the rule that findings follow."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.measures.polygons import cover_pixels
from workers.regions import Shape, in_region

places = st.tuples(st.integers(-2, 14), st.integers(-2, 14))


def ring(corners: list[tuple[float, float]]) -> np.ndarray:
    points = np.array([*corners, corners[0]], dtype=np.float64)
    return np.hstack((points[:-1], points[1:]))


def oriented(corners: list[tuple[float, float]]) -> np.ndarray:
    edges = ring(corners)
    x0, y0, x1, y1 = edges.T
    return edges if ((y0 - y1) * (x0 + x1)).sum() > 0 else ring(corners[::-1])


def test_left_and_upper_borders_are_inside_right_and_lower_ones_are_not():
    square = oriented([(1, 1), (3, 1), (3, 3), (1, 3)])
    inside = cover_pixels(square, np.arange(5.0), np.arange(5.0))
    assert np.argwhere(inside).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_a_hole_is_outside():
    outer, inner = oriented([(0, 0), (6, 0), (6, 6), (0, 6)]), oriented([(2, 2), (4, 2), (4, 4), (2, 4)])
    edges = np.concatenate((outer, inner[:, [2, 3, 0, 1]]))
    assert cover_pixels(edges, np.arange(6) + 0.5, np.arange(6) + 0.5).sum() == 36 - 4


def test_squares_that_share_a_border_share_no_pixel():
    grid = np.arange(12) / 2
    parts = [oriented([(x, 0), (x + 2, 0.5), (x + 2, 5), (x, 4)]) for x in (0, 2)]
    left, right = (cover_pixels(edges, grid, grid) for edges in parts)
    assert not (left & right).any()


@settings(max_examples=40)
@given(corners=st.lists(places, min_size=3, max_size=9, unique=True), start=st.integers(0, 5))
def test_pixels_are_those_whose_points_are_in_the_region(corners, start):
    middle = np.mean(corners, axis=0) + 0.01
    corners.sort(key=lambda corner: np.arctan2(corner[1] - middle[1], corner[0] - middle[0]))
    edges = oriented(corners)
    xs, ys = start + np.arange(7) * 1.25, np.arange(9) * 1.25 - 0.5
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    expected = in_region(Shape("any", edges), points[:, 0], points[:, 1])
    np.testing.assert_array_equal(cover_pixels(edges, xs, ys).ravel(), expected)
