"""Sums over a lattice against a slow count, and the fields that hold the most."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.geometry import Box
from workers.measures.fields import densest_fields
from workers.measures.lattice import Lattice, Roles, Tally, counted

ROLES = Roles(positive=1, negative=0, classes=3)


def slow_sums(values: np.ndarray, lattice: Lattice) -> np.ndarray:
    sums = np.zeros((3, lattice.rows, lattice.columns), dtype=int)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            place = int((y + 0.5) / lattice.height_px), int((x + 0.5) / lattice.width_px)
            for plane, belongs in enumerate((value == 1, value == 0, value < 3)):
                sums[(plane, *place)] += belongs
    return sums


def test_a_lattice_covers_the_map_with_its_last_squares_reaching_out():
    assert Lattice.over(10, 7, 4) == Lattice(4, 4, 3, 2)
    assert Lattice.over(10, 7, 5, 3.5) == Lattice(5, 3.5, 2, 2)
    assert Lattice.over(3, 3, 0.3).columns == 10


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(1, 23), st.integers(1, 17)),
    step=st.floats(0.4, 9),
    cut=st.tuples(st.integers(0, 23), st.integers(0, 17)),
    seed=st.integers(0, 9),
)
def test_every_pixel_is_counted_once_where_its_centre_lies_however_it_is_read(size, step, cut, seed):
    width, height = size
    values = np.random.default_rng(seed).choice([0, 1, 2, 255], (height, width)).astype(np.uint8)
    x, y = min(cut[0], width), min(cut[1], height)
    boxes = [Box(0, 0, x, y), Box(x, 0, width - x, y), Box(0, y, x, height - y), Box(x, y, width - x, height - y)]
    pieces = [(box, values[box.y : box.bottom, box.x : box.right]) for box in boxes if not box.is_empty]
    tally = Tally(Lattice.over(width, height, step), ROLES)
    passed = list(counted(pieces[::-1], [tally]))
    assert sum(part.size for part in passed) == values.size
    np.testing.assert_array_equal(tally.sums, slow_sums(values, tally.lattice))


def test_blocks_are_those_with_anything_analysed():
    tally = Tally(Lattice.over(4, 2, 2), ROLES)
    tally.add(Box(0, 0, 4, 2), np.array([[1, 0, 255, 255], [1, 2, 255, 255]], dtype=np.uint8))
    assert tally.blocks().tolist() == [[2, 1, 4]]


def sums_of(positive: np.ndarray, analysed: np.ndarray | None = None) -> np.ndarray:
    return np.stack((positive, positive * 2, np.full_like(positive, 10) if analysed is None else analysed))


def test_the_densest_field_is_found_then_the_densest_beside_it():
    positive = np.zeros((6, 8), dtype=np.int64)
    positive[1, 1], positive[2, 2], positive[4, 6], positive[2, 3] = 5, 4, 3, 1
    first, second, third = densest_fields(sums_of(positive), 2, 5, least_px=0)
    assert (first.column, first.row, first.positive, first.negative, first.analysed) == (1, 1, 9, 18, 40)
    # the uppermost and leftmost of those that hold the 3
    assert (second.column, second.row, second.positive) == (5, 3, 3)
    assert (third.column, third.row, third.positive) == (3, 1, 1)


def test_a_field_needs_its_tissue_and_a_positive_pixel():
    positive, analysed = np.zeros((2, 6), dtype=np.int64), np.full((2, 6), 10)
    positive[0, 0], positive[0, 4], analysed[:, :3] = 9, 1, 1
    (only,) = densest_fields(sums_of(positive, analysed), 2, 3, least_px=20)
    assert (only.column, only.positive) == (3, 1)
    assert densest_fields(sums_of(np.zeros((4, 4), dtype=np.int64)), 2, 3, least_px=0) == ()
    assert densest_fields(sums_of(np.ones((1, 9), dtype=np.int64)), 2, 3, least_px=0) == ()


@pytest.mark.parametrize("seed", range(5))
def test_fields_are_those_of_a_slow_search(seed):
    rng = np.random.default_rng(seed)
    sums = np.stack((rng.integers(0, 9, (11, 13)), rng.integers(0, 9, (11, 13)), rng.integers(0, 20, (11, 13))))
    span, least_px, free = 3, 85, np.ones((11, 13), dtype=bool)
    for found in densest_fields(sums, span, 4, least_px):
        best = (0, 0, 0)
        for row in range(11 - span + 1):
            for column in range(13 - span + 1):
                window = np.s_[row : row + span, column : column + span]
                held, tissue = int(sums[0][window].sum()), int(sums[2][window].sum())
                if free[window].all() and tissue >= least_px and held > best[0]:
                    best = (held, row, column)
        assert (found.positive, found.row, found.column) == best
        free[found.row : found.row + span, found.column : found.column + span] = False
