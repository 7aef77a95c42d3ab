import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.phantom.section import is_moved, to_slide, to_tissue
from training.phantom.spec import PhantomSpec, Section

SPEC = PhantomSpec(width_px=4000, height_px=3000)
POINTS = np.array([0.0, 120.5, 999.0]), np.array([-30.0, 400.25, 700.0])


def test_a_shift_is_a_shift():
    x, y = to_slide(SPEC, Section("ki67", 40.0, -25.0), *POINTS)
    assert x - POINTS[0] == pytest.approx([40.0] * 3)
    assert y - POINTS[1] == pytest.approx([-25.0] * 3)


def test_a_turn_keeps_the_centre_and_distances():
    section = Section("ki67", turn_deg=90.0)
    x, y = to_slide(SPEC, section, np.array([500.0, 600.0]), np.array([375.0, 375.0]))
    assert (x, y) == (pytest.approx([500.0, 500.0]), pytest.approx([375.0, 475.0]))


@settings(max_examples=30)
@given(
    st.floats(-300, 300), st.floats(-300, 300), st.floats(-8, 8), st.floats(0, 25), st.sampled_from(["ki67", "phh3"])
)
def test_back_and_forth_is_where_one_was(dx, dy, turn, warp, stain):
    section = Section(stain, dx, dy, turn, warp)
    x, y = to_tissue(SPEC, section, *to_slide(SPEC, section, *POINTS))
    assert x == pytest.approx(POINTS[0], abs=1e-3)
    assert y == pytest.approx(POINTS[1], abs=1e-3)


def test_the_warp_has_the_spread_it_says():
    section = Section("ki67", warp_um=10.0, warp_wavelength_um=300.0)
    x, y = np.meshgrid(np.arange(0, 20000.0, 50), np.arange(0, 20000.0, 50))
    sx, sy = to_slide(SPEC, section, x, y)
    assert (sx - x).std() == pytest.approx(10.0, rel=0.15)
    assert (sy - y).std() == pytest.approx(10.0, rel=0.15)


def test_the_reference_is_not_moved():
    assert not is_moved(SPEC.section("he"))
    assert to_slide(SPEC, SPEC.section("he"), *POINTS)[0] is POINTS[0]
