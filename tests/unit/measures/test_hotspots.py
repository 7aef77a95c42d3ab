"""The densest disc, by hand and against trying everything."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.measures.slow_hotspots import slow_densest, slow_enclosing_radius
from workers.measures import hotspots
from workers.measures.enclosing import enclosing_disc
from workers.measures.hotspots import densest_disc, densest_discs, disc_counts, percentile_count, radius_of

FIVE_UM = math.pi * 25e-6
"""The area in mm2 of a disc of radius 5 um."""

whole = st.tuples(st.integers(0, 24), st.integers(0, 24))
anywhere = st.tuples(st.floats(0, 30, width=32), st.floats(0, 30, width=32))


def test_two_mm2_have_a_radius_of_about_eight_tenths_of_a_millimetre():
    assert radius_of(2.0) == pytest.approx(797.8845608)


@pytest.mark.parametrize("area_mm2", [0.0, -1.0, math.nan, math.inf])
def test_a_disc_without_an_area_is_refused(area_mm2):
    with pytest.raises(ValueError, match="above zero"):
        densest_disc(np.zeros((1, 2)), area_mm2)


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.array([[0.0, np.nan]])])
def test_points_that_are_none_are_refused(points):
    with pytest.raises(ValueError, match="finite"):
        densest_disc(points)


def test_no_point_has_no_hotspot():
    assert densest_disc(np.zeros((0, 2))) is None


def test_one_point_is_in_the_middle_of_its_disc():
    found = densest_disc(np.array([[700.0, -20.0]]), FIVE_UM)
    assert (found.count, found.x_um, found.y_um) == (1, 700.0, -20.0)


def test_points_on_the_border_count():
    # 6-8-10: all four corners lie on the circle of radius 5 around (3, 4)
    found = densest_disc(np.array([[0.0, 0], [6, 0], [0, 8], [6, 8]]), FIVE_UM)
    assert found.count == 4
    assert (found.x_um, found.y_um) == pytest.approx((3, 4))


def test_points_a_little_too_far_apart_do_not_count_together():
    assert densest_disc(np.array([[0.0, 0], [10.001, 0]]), FIVE_UM).count == 1
    assert densest_disc(np.array([[0.0, 0], [10.0, 0]]), FIVE_UM).count == 2


def test_points_at_one_place_count_one_by_one():
    assert densest_disc(np.array([[1.0, 1], [1, 1], [1, 1], [40, 40], [41, 40]]), FIVE_UM).count == 3


def test_of_equal_discs_the_lowest_y_then_the_lowest_x_is_told():
    pairs = [(40.0, 40.0), (42, 40), (0, 80), (2, 80), (80, 40), (82, 40)]
    found = densest_disc(np.array(pairs), FIVE_UM)
    assert (found.count, found.x_um, found.y_um) == (2, 41, 40)


def test_a_hotspot_off_every_grid_and_point_is_found():
    # a ring of 40 that only the disc around its middle holds, beside a heap of 39
    turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    ring = np.stack((100.123 + 5 * np.cos(turn), 70.456 + 5 * np.sin(turn)), axis=1)
    heap = np.tile([[10.0, 10.0]], (39, 1))
    found = densest_disc(np.concatenate((heap, ring)), FIVE_UM)
    assert found.count == 40
    assert (found.x_um, found.y_um) == pytest.approx((100.123, 70.456))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.one_of(whole, anywhere), min_size=1, max_size=24), st.integers(0, 2**31))
def test_the_densest_disc_is_what_trying_everything_finds_in_any_order(points, seed):
    found = densest_disc(np.array(points, float), FIVE_UM)
    assert found.count == slow_densest([(float(x), float(y)) for x, y in points], 5.0)
    centre = np.array([[found.x_um, found.y_um]])
    assert disc_counts(np.array(points, float), centre, FIVE_UM).tolist() == [found.count]
    shuffled = np.random.default_rng(seed).permutation(np.array(points, float))
    assert densest_disc(shuffled, FIVE_UM) == found


def test_halving_squares_does_not_change_what_is_found(monkeypatch):
    points = np.random.default_rng(3).normal(0, 8, (150, 2))
    expected = slow_densest([tuple(point) for point in points.tolist()], 5.0)
    for few in (0, 2, 1000):
        monkeypatch.setattr(hotspots, "FEW", few)
        assert densest_disc(points, FIVE_UM).count == expected


@settings(max_examples=20, deadline=None)
@given(st.lists(st.one_of(whole, anywhere), min_size=1, max_size=12))
def test_the_enclosing_disc_is_the_smallest(points):
    x, y, radius = enclosing_disc(np.array(points, float))
    assert max(math.dist((x, y), point) for point in points) <= radius * (1 + 1e-9)
    assert radius == pytest.approx(slow_enclosing_radius([(float(a), float(b)) for a, b in points]), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.one_of(whole, anywhere), min_size=1, max_size=16))
def test_each_further_disc_is_the_densest_of_what_is_left(points):
    left = np.array(points, float)
    found = densest_discs(left, 3, FIVE_UM)
    assert found[0][0] == densest_disc(left, FIVE_UM)
    taken: list[int] = []
    for disc, inside in found:
        rest = [point for index, point in enumerate(left.tolist()) if index not in taken]
        assert disc.count == len(inside) == slow_densest(rest, 5.0)
        assert not set(inside.tolist()) & set(taken)
        gaps = np.hypot(*(left[inside] - (disc.x_um, disc.y_um)).T)
        assert (gaps <= disc.radius_um * (1 + 1e-8)).all()
        taken += inside.tolist()
    assert len(found) == 3 or len(taken) == len(points)


def test_a_further_disc_does_not_count_what_an_earlier_one_holds():
    # the fifth has the fourth beside it, but that counts for the first disc
    points = np.array([[0.0, 0], [1, 0], [2, 0], [9, 0], [11, 0], [60, 0]])
    found = densest_discs(points, 5, FIVE_UM)
    assert [(disc.count, inside.tolist()) for disc, inside in found] == [(4, [0, 1, 2, 3]), (1, [4]), (1, [5])]
    assert densest_discs(np.zeros((0, 2)), 3, FIVE_UM) == ()


def test_counts_around_positions_include_the_border():
    points = np.array([[0.0, 0], [5, 0], [5.001, 0]])
    assert disc_counts(points, np.array([[0.0, 0], [100, 0]]), FIVE_UM).tolist() == [2, 0]
    assert disc_counts(np.zeros((0, 2)), np.array([[0.0, 0]]), FIVE_UM).tolist() == [0]


def test_the_percentile_leaves_empty_positions_out():
    points = np.array([[0.0, 0], [1, 0], [50, 0]])
    positions = np.array([[0.0, 0], [50, 0], [200, 0], [300, 0], [400, 0]])
    # counts 2 and 1; three empty ones are left out; 0.95 of the way from 1 to 2
    assert percentile_count(points, positions, FIVE_UM) == pytest.approx(1.95)
    assert percentile_count(points, positions, FIVE_UM, percent=0) == 1
    assert percentile_count(points, positions[2:], FIVE_UM) is None
    assert percentile_count(np.zeros((0, 2)), positions, FIVE_UM) is None
