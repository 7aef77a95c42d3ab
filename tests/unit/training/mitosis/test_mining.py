"""Places drawn from a network's map: where it is wrong, never at a mitosis."""

import numpy as np

from tests.unit.training.mitosis.made import made_image
from training.mitosis.config import Config
from training.mitosis.mining import drawn_places
from training.mitosis.prepare import far_from_mitoses

IMAGE = made_image("a", "1", mitoses=2)


def a_map(value=0.0):
    """A map of the 400 x 300 px of `IMAGE`."""
    return np.full((75, 100), value, np.float32)


def test_places_are_drawn_where_the_network_is_wrong():
    heat = a_map()
    heat[40:44, 60:64] = 0.9
    points = drawn_places(heat, IMAGE, Config(mined=16))
    assert sorted(map(tuple, points)) == [(4 * x + 2.0, 4 * y + 2.0) for x in range(60, 64) for y in range(40, 44)]


def test_places_are_drawn_in_proportion_to_the_probability():
    heat = a_map(0.1)
    heat[40:, :] = 0.9
    points = drawn_places(heat, IMAGE, Config(mined=1000))
    sure = (points[:, 1] > 160).mean()
    # 35 rows of weight .9 and 40 of weight .1, less the px near two mitoses, drawn without replacement.
    assert 0.83 < sure < 0.93


def test_no_place_lies_near_a_mitosis_however_sure_the_network_is():
    heat = a_map()
    heat[8:22, 5:45] = 1.0
    points = drawn_places(heat, IMAGE, Config(mined=2000))
    gaps = np.hypot(*(points[:, None] - IMAGE.points_px("mitosis")).transpose(2, 0, 1))
    assert gaps.min() > 30
    assert len(points) == 2000


def test_a_small_map_gives_what_it_has():
    image = made_image("a", "1", mitoses=0)
    points = drawn_places(a_map(0.5), image, Config(mined=100_000))
    assert len(points) == 75 * 100
    assert len(np.unique(points, axis=0)) == len(points)


def test_the_same_seed_draws_the_same_places():
    heat = np.random.default_rng(1).random((75, 100)).astype(np.float32)
    first, again, other = (drawn_places(heat, IMAGE, Config(mined=50, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_near_a_mitosis_is_within_thirty_px_at_the_stated_resolution():
    points = np.array([[50.0, 89], [50, 91]])
    assert far_from_mitoses(points, IMAGE, Config()).tolist() == [False, True]
    coarse = made_image("b", "1")
    coarse = type(coarse)(**{**coarse.__dict__, "mpp": 0.5})
    assert far_from_mitoses(np.array([[50.0, 74], [50, 76]]), coarse, Config()).tolist() == [False, True]
