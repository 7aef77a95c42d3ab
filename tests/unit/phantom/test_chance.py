import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.phantom.chance import normal, stream, uniform


@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40), st.integers(1, 4))
def test_a_place_has_its_numbers_whatever_is_asked_beside_it(i, j, count):
    key = stream(3, "x")
    grid_i, grid_j = np.meshgrid(np.arange(i - 1, i + 2), np.arange(j - 1, j + 2))
    together = uniform(key, grid_i, grid_j, count)
    alone = uniform(key, np.array([i]), np.array([j]), count)
    assert np.array_equal(together[:, 1, 1], alone[:, 0])


def test_more_numbers_do_not_change_the_first():
    i, j = np.arange(5), np.arange(5)
    assert np.array_equal(uniform(9, i, j, 7)[:2], uniform(9, i, j, 2))


def test_numbers_are_uniform_and_uncorrelated_between_neighbours_and_draws():
    i, j = np.meshgrid(np.arange(200), np.arange(200))
    u = uniform(stream(0, "u"), i, j, 2)
    assert u.min() >= 0 and u.max() < 1
    counts, _ = np.histogram(u[0], bins=20, range=(0, 1))
    assert abs(counts / u[0].size * 20 - 1).max() < 0.1
    for a, b in ((u[0, :, 1:], u[0, :, :-1]), (u[0, 1:], u[0, :-1]), (u[0], u[1]), (u[0], u[0].T)):
        off = a != b
        assert abs(np.corrcoef(a[off], b[off])[0, 1]) < 0.03


def test_streams_of_other_names_and_seeds_differ():
    keys = {stream(seed, name) for seed in range(5) for name in ("a", "b", "c")}
    assert len(keys) == 15
    assert stream(1, "a") == stream(1, "a")


def test_normal_has_unit_spread():
    i = np.arange(20_000)
    values = normal(*uniform(4, i, i, 2))
    assert abs(values.mean()) < 0.03
    assert abs(values.std() - 1) < 0.03
    assert np.isfinite(normal(np.zeros(1), np.zeros(1))).all()
