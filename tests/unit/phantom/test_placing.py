import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.phantom.nucleus import LARGEST_UM, join
from training.phantom.placing import nuclei_in
from training.phantom.spec import PhantomSpec

SPEC = PhantomSpec(seed=11, width_px=8000, height_px=8000, tissue=0.7, lymphocytes=0.4)


@settings(max_examples=6, deadline=None)
@given(st.floats(400, 1500), st.floats(400, 1500), st.floats(20, 100), st.floats(0.1, 0.9))
def test_two_halves_hold_what_the_whole_holds(x, y, side, cut):
    whole = nuclei_in(SPEC, x, y, x + side, y + side)
    middle = x + cut * side
    halves = join([nuclei_in(SPEC, x, y, middle, y + side), nuclei_in(SPEC, middle, y, x + side, y + side)])
    order = np.argsort(halves.id)
    again = np.argsort(whole.id)
    for name in ("id", "x", "major", "waves", "dark", "ki67", "phase", "lookalike", "ki67_llr", "grain"):
        assert np.array_equal(getattr(halves, name)[order], getattr(whole, name)[again]), name


def test_ids_are_unique_and_places_inside():
    found = nuclei_in(SPEC, 700, 700, 1100, 1000)
    assert len(found) > 200
    assert len(np.unique(found.id)) == len(found)
    assert (found.x >= 700).all() and (found.x < 1100).all() and (found.y >= 700).all() and (found.y < 1000).all()


def test_no_nucleus_lies_on_another():
    found = nuclei_in(SPEC, 600, 600, 1000, 1000)
    radius = np.sqrt(found.major * found.minor)
    apart = np.hypot(found.x[:, None] - found.x, found.y[:, None] - found.y)
    np.fill_diagonal(apart, np.inf)
    assert (apart >= 0.7 * (radius[:, None] + radius)).all()


def test_none_is_larger_than_the_margin_allows():
    found = nuclei_in(PhantomSpec(seed=1, tissue=1.0, mitoses=0.2, lookalikes=0.2, pleomorphism=1.0), 0, 0, 700, 700)
    assert (1.25 * np.maximum(found.major, found.minor)).max() < LARGEST_UM


def test_glass_holds_none():
    assert len(nuclei_in(PhantomSpec(tissue=0.0), 0, 0, 1000, 1000)) == 0
    assert len(nuclei_in(SPEC, -900, -900, -500, -500)) == 0


def test_all_types_occur():
    found = nuclei_in(SPEC, 500, 500, 1200, 1200)
    assert all((found.kind == kind).sum() > 30 for kind in range(3))
