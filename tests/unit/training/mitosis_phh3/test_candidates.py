"""Brown components of made slides: what counts, and that windows do not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from models.colour import from_hed
from tests.array_slide import ArraySlide
from training.mitosis.phh3.candidates import find_brown, join_near
from training.mitosis.phh3.config import DabConfig

BROWN, BLUE = (0.1, 0.0, 1.2), (0.8, 0.0, 0.0)
PLAIN = DabConfig(mpp=0.5, min_area_um2=1.0, max_area_um2=50.0, join_um=0.0)


def slide_of(brown, mpp=0.5):
    amounts = np.where(brown[..., None], BROWN, BLUE).astype(np.float32)
    return ArraySlide(from_hed(amounts), mpp)


def square(mask, x, y, side):
    mask[y : y + side, x : x + side] = True


def test_brown_is_found_and_blue_is_not():
    mask = np.zeros((40, 60), bool)
    square(mask, 10, 20, 4)
    found = find_brown(slide_of(mask), PLAIN)
    assert found.points_px.tolist() == [[12, 22]]
    assert found.area_um2.tolist() == [4.0]


def test_centres_are_in_level_0_px_whatever_the_candidates_mpp():
    mask = np.zeros((40, 60), bool)
    square(mask, 10, 20, 8)
    found = find_brown(slide_of(mask, mpp=0.25), PLAIN)
    assert found.points_px.tolist() == [[14, 24]]


def test_specks_and_sheets_are_given_up_and_counted():
    mask = np.zeros((60, 60), bool)
    square(mask, 2, 2, 1)
    square(mask, 10, 10, 40)
    found = find_brown(slide_of(mask), PLAIN)
    assert (len(found.points_px), found.too_small, found.too_large) == (0, 1, 1)


def test_two_plates_are_one_candidate_between_them_by_area():
    mask = np.zeros((40, 40), bool)
    square(mask, 10, 10, 4)
    square(mask, 10, 18, 4)
    config = PLAIN.model_copy(update={"join_um": 4.0})
    found = find_brown(slide_of(mask), config)
    assert found.points_px.tolist() == [[12, 16]]
    assert found.area_um2.tolist() == [8.0]
    assert len(find_brown(slide_of(mask), PLAIN).points_px) == 2


def test_joining_weighs_by_area_and_follows_chains():
    centres = np.array([[0.0, 0], [3, 0], [6, 0], [20, 0]])
    joined, areas = join_near(centres, np.array([1.0, 1, 2, 5]), 3.0)
    assert joined.tolist() == [[3.75, 0], [20, 0]]
    assert areas.tolist() == [4, 5]


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000), window=st.sampled_from([7, 16, 33]), fill=st.sampled_from([0.2, 0.45, 0.6]))
def test_windows_do_not_matter(seed, window, fill):
    numbers = np.random.default_rng(seed)
    mask = np.kron(numbers.random((7, 9)), np.ones((3, 3))) < fill
    config = DabConfig(mpp=0.5, min_area_um2=2.0, max_area_um2=200.0, join_um=3.0)
    slide = slide_of(mask)
    parts, whole = find_brown(slide, config, window), find_brown(slide, config, 256)
    np.testing.assert_array_equal(parts.points_px, whole.points_px)
    np.testing.assert_array_equal(parts.area_um2, whole.area_um2)
    assert (parts.too_small, parts.too_large) == (whole.too_small, whole.too_large)


def test_the_whole_is_what_scipy_labels():
    numbers = np.random.default_rng(5)
    mask = np.kron(numbers.random((14, 18)), np.ones((3, 3))) < 0.3
    labels, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, labels, np.arange(1, count + 1)) * 0.25
    found = find_brown(slide_of(mask), PLAIN.model_copy(update={"max_area_um2": 1000.0}), 16)
    holes = ndimage.label(~mask)[1]
    assert len(found.area_um2) == count
    assert found.area_um2.sum() >= sizes.sum()
    assert holes


def test_limits_out_of_order_are_refused():
    with pytest.raises(ValueError, match="below max_area_um2"):
        DabConfig(min_area_um2=10, max_area_um2=5)
