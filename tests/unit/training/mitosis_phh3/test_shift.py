"""Correlation of tiles: where the peak lies, and when it is believed."""

import numpy as np
import pytest
from scipy import ndimage

from tests.array_slide import ArraySlide
from training.mitosis.phh3.config import RegistrationConfig, ShiftConfig
from training.mitosis.phh3.shift import (
    Peak,
    correlate_tile,
    errors_um,
    global_shift,
    local_shifts,
    peak_of,
    random_tissue,
    summary_um,
)

LOCAL = ShiftConfig(mpp=1.0, tile_um=32, range_um=10, peak_um=4)
CONFIG = RegistrationConfig(tiles=4, whole=ShiftConfig(mpp=1.0, tile_um=40, range_um=14, peak_um=4), local=LOCAL)


def tissue(seed, shape=(160, 160)):
    """Grey blobs of the size of nuclei."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2.0)
    grey = 230 - 1500 * np.clip(smooth - 0.5, 0, 0.12)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def pair(dx=5, dy=-3, seed=1):
    """PHH3 and H&E slides; what lies at p on PHH3 lies at p + (dx, dy) on H&E."""
    field = tissue(seed, (200, 200))
    return ArraySlide(field[20:180, 20:180], 1.0), ArraySlide(field[20 - dy : 180 - dy, 20 - dx : 180 - dx], 1.0)


def test_correlation_is_that_of_each_window():
    numbers = np.random.default_rng(2)
    field, tile = numbers.random((12, 15)), numbers.random((5, 6))
    slow = [[np.corrcoef(field[y : y + 5, x : x + 6].ravel(), tile.ravel())[0, 1] for x in range(10)] for y in range(8)]
    np.testing.assert_allclose(correlate_tile(field, tile), slow, atol=1e-9)


def test_what_is_flat_correlates_with_nothing():
    numbers = np.random.default_rng(2)
    assert not correlate_tile(np.full((9, 9), 0.3), numbers.random((4, 4))).any()
    assert not correlate_tile(numbers.random((9, 9)), np.full((4, 4), 0.3)).any()


def test_the_global_shift_is_found_with_its_sign():
    phh3, he = pair()
    found = global_shift(phh3, he, CONFIG, seed=0)
    assert (found.peak.x_um, found.peak.y_um) == (5, -3)
    assert found.trusted
    assert found.heat.shape == (29, 29)
    assert found.peak.score > 0.7


def test_slides_of_other_tissue_are_not_believed():
    phh3, _ = pair()
    assert not global_shift(phh3, ArraySlide(tissue(9), 1.0), CONFIG, seed=0).trusted


def test_a_shift_beyond_the_range_is_not_believed():
    phh3, he = pair(dx=18, dy=0)
    assert not global_shift(phh3, he, CONFIG, seed=0).trusted


def test_local_shifts_correct_the_global_one():
    phh3, he = pair()
    points = np.array([[60.0, 70], [90, 80.5]])
    found = local_shifts(phh3, he, points, Peak(2.0, 0.0, 1, 9), LOCAL)
    assert found.trusted.all()
    assert found.shifts_um.tolist() == [[5, -3], [5, -3]]


def test_where_there_is_nothing_to_see_the_global_shift_stays():
    phh3, he = pair()
    blank = ArraySlide(np.full((160, 160, 3), 240, np.uint8), 1.0)
    found = local_shifts(phh3, blank, np.array([[60.0, 70]]), Peak(2.25, 0.0, 1, 9), LOCAL)
    assert not found.trusted.any()
    assert found.shifts_um.tolist() == [[2.25, 0]]
    none = local_shifts(phh3, he, np.zeros((0, 2)), Peak(2, 0, 1, 9), LOCAL)
    assert none.shifts_um.shape == (0, 2)


def test_confidence_is_the_margin_over_the_rest_in_its_spreads():
    heat = np.random.default_rng(0).normal(0, 0.1, (21, 21))
    heat[10, 12] = 2.0
    found, rest = peak_of(heat, LOCAL), np.delete(heat.ravel(), 10 * 21 + 12)
    assert (found.x_um, found.y_um, found.score) == (2, 0, 2.0)
    assert found.confidence == pytest.approx((2.0 - rest.max()) / rest.std(), rel=0.15)


def test_a_peak_at_the_border_has_no_confidence():
    heat = np.zeros((21, 21))
    heat[4:17:3, 4:17:3] = 0.1
    heat[0, 12] = 2.0
    assert peak_of(heat, LOCAL).confidence == 0


def test_tiles_lie_on_tissue_and_follow_the_seed():
    rgb = np.full((320, 320, 3), 240, np.uint8)
    rgb[160:, 160:] = 120
    places = random_tissue(ArraySlide(rgb, 1.0), CONFIG, 3)
    assert places.shape == (4, 2)
    assert (places > 160).all()
    np.testing.assert_array_equal(places, random_tissue(ArraySlide(rgb, 1.0), CONFIG, 3))
    assert (places != random_tissue(ArraySlide(rgb, 1.0), CONFIG, 4)).any()


def test_glass_alone_is_refused():
    with pytest.raises(ValueError, match="no tissue"):
        random_tissue(ArraySlide(np.full((64, 64, 3), 245, np.uint8), 1.0), CONFIG, 0)


def test_errors_are_summed_up():
    errors = errors_um(np.array([[0.0, 0], [3, 4]]), np.zeros((2, 2)))
    assert errors.tolist() == [0, 5]
    assert summary_um(errors) == {"median": 2.5, "p90": 4.5, "largest": 5.0}
    assert summary_um(errors[:0]) == {}
