"""Fields of so many cells against trying every one, and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.measures.fields_of_cells import find_fields


def slow_fields(centres, positive, cells):
    """(share, square of the radius, y, x) of the hottest and the densest, from the definition."""
    hottest, densest = [], []
    for x, y in centres:
        squares = (centres[:, 0] - x) ** 2 + (centres[:, 1] - y) ** 2
        limit = np.sort(squares)[cells - 1]
        inside = squares <= limit
        hot = (inside & positive).sum()
        hottest.append((-hot / inside.sum(), limit, y, x))
        densest.append((limit, -hot, y, x))
    return min(hottest), min(densest)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 150), part=st.floats(0.01, 1), spread=st.integers(1, 400))
def test_the_fields_are_those_of_trying_every_cell(seed, count, part, spread):
    rng = np.random.default_rng(seed)
    # whole and half px, so that many cells are equally far
    centres = rng.integers(0, 2 * spread, (count, 2)) / 2
    positive = rng.random(count) < rng.random()
    cells = max(1, int(part * count))
    found = find_fields(centres, positive, cells)
    hot, dense = slow_fields(centres, positive, cells)
    told = found.hottest
    assert (-told.positive / told.count, told.y, told.x) == (hot[0], hot[2], hot[3])
    assert told.radius == pytest.approx(math.sqrt(hot[1]))
    told = found.densest
    assert (-told.positive, told.y, told.x) == dense[1:]
    assert told.radius == pytest.approx(math.sqrt(dense[0]))


def patterns(count=256):
    """Places that are worked on in different ways, by name."""
    rng = np.random.default_rng(5)
    side = math.isqrt(count)
    lattice = np.stack(np.divmod(np.arange(side * side), side), axis=1) * 8.0
    far = np.array([(0, 0), (90_000, 40), (70_000, 50_000)], float)
    return {
        "a lattice, all fields inside equal": lattice,
        "clusters far apart": far[rng.integers(3, size=count)] + rng.integers(0, 60, (count, 2)),
        "a crowd with some far around it": np.concatenate(
            [rng.integers(0, 9, (count, 2)), rng.integers(0, 9**4, (40, 2))]
        ),
        "a line": np.stack([np.zeros(count), rng.integers(0, 900, count)], axis=1),
        "all in one place": np.full((count, 2), 7.5),
    }


@pytest.mark.parametrize("name", patterns())
@pytest.mark.parametrize(("cells", "part"), [(1, 0.5), (40, 0), (40, 0.5), (40, 1), (150, 0.97)])
def test_patterns_are_searched_as_by_trying_every_cell(name, cells, part):
    centres = patterns()[name].astype(float)
    positive = np.random.default_rng(6).random(len(centres)) < part
    found = find_fields(centres, positive, cells)
    hot, dense = slow_fields(centres, positive, cells)
    told = found.hottest
    assert (-told.positive / told.count, told.y, told.x) == (hot[0], hot[2], hot[3])
    told = found.densest
    assert (-told.positive, told.y, told.x) == dense[1:]
    assert (found.hottest.radius, told.radius) == pytest.approx((math.sqrt(hot[1]), math.sqrt(dense[0])))


def test_the_order_of_cells_does_not_matter():
    rng = np.random.default_rng(9)
    centres, positive = rng.integers(0, 40, (600, 2)) / 2, rng.random(600) < 0.4
    order = rng.permutation(600)
    assert find_fields(centres, positive, 50) == find_fields(centres[order], positive[order], 50)


def test_a_field_by_hand():
    # a row of four 10 apart, the right two positive; a lone pair 1 apart
    centres = np.array([(0, 0), (10, 0), (20, 0), (30, 0), (500, 0), (501, 0)], float)
    positive = np.array([0, 0, 1, 1, 0, 0], bool)
    found = find_fields(centres, positive, 2)
    # around the cell at 30 the nearest two are 30 and 20; around 20 there are three within 10
    assert (found.hottest.x, found.hottest.count, found.hottest.positive, found.hottest.radius) == (30, 2, 2, 10)
    assert (found.densest.x, found.densest.count, found.densest.radius) == (500, 2, 1)


def test_cells_as_far_as_the_last_are_in_the_field():
    centres = np.array([(0, 0), (5, 0), (-5, 0), (0, 5)], float)
    found = find_fields(centres, np.ones(4, bool), 2)
    assert found.hottest.count in (2, 4)
    assert find_fields(centres[:1], np.ones(1, bool), 1).densest.radius == 0


def test_fewer_cells_have_no_field():
    assert find_fields(np.zeros((3, 2)), np.zeros(3, bool), 4) is None


def test_places_that_are_none_are_refused():
    with pytest.raises(ValueError, match="cannot be"):
        find_fields(np.array([[np.nan, 0]]), np.zeros(1, bool), 1)
