import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.phantom.layout import depth_um, hotspots_of, in_hotspot, may_hold_tissue
from training.phantom.pen import ink_depth_um
from training.phantom.spec import PhantomSpec


@pytest.mark.parametrize(
    ("part", "pieces", "size"), [(0.1, 1, (30000, 20000)), (0.5, 3, (60000, 20000)), (0.7, 1, (9000, 9000))]
)
def test_tissue_covers_the_part_asked_for(part, pieces, size):
    spec = PhantomSpec(seed=4, width_px=size[0], height_px=size[1], tissue=part, pieces=pieces)
    x, y = np.meshgrid(np.arange(0, spec.width_um, 20.0), np.arange(0, spec.height_um, 20.0))
    assert (depth_um(spec, x, y) > 0).mean() == pytest.approx(part, rel=0.15)


def test_all_and_none():
    x, y = np.meshgrid(np.arange(0, 1000.0, 50), np.arange(0, 1000.0, 50))
    assert (depth_um(PhantomSpec(tissue=1.0), x, y) > 0).all()
    assert (depth_um(PhantomSpec(tissue=0.0), x, y) < 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.floats(0.01, 0.9), st.integers(1, 3), st.booleans())
def test_nothing_lies_where_nothing_may_be(seed, part, pieces, pen):
    spec = PhantomSpec(seed=seed, width_px=40000, height_px=15000, tissue=part, pieces=pieces, pen=pen)
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, spec.width_um, 200), rng.uniform(0, spec.height_um, 200)
    surely_bare = ~may_hold_tissue(spec, x, y, 100.0)
    around_x, around_y = x + rng.uniform(-70, 70, (30, 200)), y + rng.uniform(-70, 70, (30, 200))
    assert not (depth_um(spec, around_x, around_y)[:, surely_bare] > 0).any()
    if pen:
        assert not (ink_depth_um(spec, around_x, around_y)[:, surely_bare] > 0).any()


def test_hotspots_are_discs_of_at_most_two_square_millimetres():
    spec = PhantomSpec(seed=1, width_px=60000, height_px=40000, hotspots=2)
    spots = hotspots_of(spec)
    assert len(spots) == 2
    for spot in spots:
        assert np.pi * spot.radius_um**2 <= 2e6 * 1.001
        at = np.array([spot.x_um, spot.x_um + 0.99 * spot.radius_um]), np.array([spot.y_um, spot.y_um])
        assert in_hotspot(spec, *at).all()
    assert not in_hotspot(spec, np.array([-1e4]), np.array([0.0])).any()
