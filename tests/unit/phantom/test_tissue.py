import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.phantom.block import enlarge
from training.phantom.chance import uniform
from training.phantom.spec import PhantomSpec
from training.phantom.tissue import Scatter, nearest_two, threshold, tissue_at


@settings(max_examples=20, deadline=None)
@given(st.floats(-500, 500), st.floats(-500, 500), st.sampled_from([0.0, 0.5]))
def test_nearest_two_is_what_looking_at_every_point_gives(x, y, stagger):
    scatter = Scatter(10.0, 0.6, stagger)
    first, second = nearest_two(5, scatter, np.array([x]), np.array([y]))
    i, j = np.meshgrid(np.arange(int(x // 10) - 5, int(x // 10) + 6), np.arange(int(y // 10) - 5, int(y // 10) + 6))
    px, py = scatter.points(i, j, uniform(5, i, j, 2))
    slow = np.sort(np.hypot(px - x, py - y).ravel())
    assert first[0] == pytest.approx(slow[0], abs=1e-6)
    # With so much jitter the second nearest may lie two steps away; it is then never much nearer than the one found.
    assert slow[1] - 1e-6 <= second[0] <= slow[1] + 2.5


def test_a_point_has_its_tissue_whatever_is_asked_beside_it():
    spec = PhantomSpec(seed=2)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1000, 60), rng.uniform(0, 1000, 60)
    together, alone = tissue_at(spec, x, y), tissue_at(spec, x[30:31], y[30:31])
    for name in ("depth", "nest", "lumen", "fat", "wall", "collagen", "infiltrate", "across", "across_2", "weave"):
        assert getattr(together, name)[30] == getattr(alone, name)[0], name


@pytest.mark.parametrize("step", [1, 2, 8])
def test_enlarge_is_the_spline_written_out(step):
    coarse = np.random.default_rng(0).normal(size=(7, 7))
    fast = enlarge(coarse, step)
    assert fast.shape == (4 * step, 4 * step)
    for row, column in ((0, 0), (4 * step - 1, 2 * step), (step, 3 * step - 1)):
        assert fast[row, column] == pytest.approx(_spline(coarse, (row + 0.5) / step, (column + 0.5) / step), abs=1e-5)


def _spline(coarse, y, x):
    def weight(t):
        t = abs(t)
        return (4 - 6 * t**2 + 3 * t**3) / 6 if t < 1 else (2 - t) ** 3 / 6 if t < 2 else 0.0

    return sum(
        coarse[r, c] * weight(y - (r - 1)) * weight(x - (c - 1)) for r in range(len(coarse)) for c in range(len(coarse))
    )


def test_enlarge_keeps_what_is_flat_or_straight():
    assert enlarge(np.full((6, 6), 3.5), 4) == pytest.approx(3.5)
    slope = np.tile(np.arange(6.0), (6, 1))
    assert np.diff(enlarge(slope, 4)[0]) == pytest.approx(0.25, abs=1e-5)


def test_threshold_is_the_quantile():
    assert threshold(0.5) == pytest.approx(0.0)
    assert threshold(0.1586) == pytest.approx(1.0, abs=1e-2)
    assert threshold(0.0) > 4 and threshold(1.0) < -4


@pytest.mark.parametrize(("name", "field"), [("tumour", "nest"), ("fat", "fat"), ("lymphocytes", "infiltrate")])
def test_more_asked_is_more_given(name, field):
    x, y = np.meshgrid(np.arange(0, 4000.0, 50), np.arange(0, 4000.0, 50))
    parts = [(getattr(tissue_at(PhantomSpec(seed=6, **{name: p}), x, y), field) > 0).mean() for p in (0.0, 0.3, 0.8)]
    assert parts[0] < 0.02 < parts[1] < parts[2]
