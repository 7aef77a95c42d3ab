"""Patches found again, and fits through matches of which many are wrong."""

import numpy as np
import pytest
from scipy import ndimage

from workers.registration.fitting import fit_field, fit_pose, solve_pose
from workers.registration.maps import Pose
from workers.registration.matching import Matches, match_patches, patch_centres

CENTRES = np.array([[40, 40], [60, 40], [48, 60]])


def texture(seed: int, side: int = 100) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(side, side))
    smooth = ndimage.gaussian_filter(noise, 2.0)
    return (smooth / smooth.std()).astype(np.float32)


def matches_of(centres: np.ndarray, shifts: np.ndarray) -> Matches:
    """Matches that are all as good as can be."""
    return Matches(centres, shifts, np.ones(len(centres)), np.ones(len(centres)))


def spread_points(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 200, (count, 2))


def test_patches_stand_where_tissue_is():
    tissue = np.zeros((64, 64), dtype=bool)
    tissue[:, :32] = True
    found = patch_centres(tissue, 16, 16, least=0.5)
    assert found[:, 0].max() == 24 and len(found) == 2 * 4


def test_patches_on_the_rim_are_left_out():
    found = patch_centres(np.ones((20, 64), dtype=bool), 16, 16)
    assert found[:, 1].tolist() == [8] * 4


@pytest.mark.parametrize("shift", [(3, -5), (0, 0), (-8, 8)])
def test_a_patch_is_found_where_it_went(shift):
    fixed = texture(1)
    moving = np.roll(fixed, (shift[1], shift[0]), axis=(0, 1))
    found = match_patches(fixed, moving, CENTRES, 24, 8)
    assert found.shifts == pytest.approx(np.tile(shift, (3, 1)), abs=0.05)
    assert found.peaks == pytest.approx(1.0, abs=1e-3)
    assert (found.leads > 0.1).all()


def test_a_patch_is_found_between_pixels():
    fixed = texture(2)
    moving = ndimage.shift(fixed, (0.0, 2.4), order=3, mode="wrap")
    assert match_patches(fixed, moving, CENTRES, 24, 6).shifts == pytest.approx(np.tile((2.4, 0.0), (3, 1)), abs=0.1)


def test_brightness_and_contrast_do_not_matter():
    fixed = texture(3)
    assert match_patches(fixed, 5 * fixed + 7, CENTRES, 24, 6).peaks == pytest.approx(1.0, abs=1e-3)


def test_other_texture_has_a_low_peak():
    assert match_patches(texture(4), texture(5), CENTRES, 32, 8).peaks.max() < 0.7


def test_no_patches_give_no_matches():
    assert len(match_patches(texture(6), texture(6), np.zeros((0, 2), dtype=np.int64), 24, 6)) == 0


def test_a_pose_is_found_among_wrong_matches():
    centres = spread_points(200)
    truth = Pose(np.array([[1.02, -0.03, 2.0], [0.03, 0.98, -4.0]]))
    shifts = truth.map_points(centres) - centres
    shifts[:80] = np.random.default_rng(1).uniform(-16, 16, (80, 2))
    found = fit_pose(matches_of(centres, shifts), "affine", 16.0, 1.0)
    assert found.map_points(centres) == pytest.approx(truth.map_points(centres), abs=0.1)


@pytest.mark.parametrize(("kind", "scale"), [("rigid", 1.0), ("similarity", 1.25)])
def test_a_rigid_pose_keeps_lengths_and_a_similarity_scales(kind, scale):
    centres = spread_points(50)
    turned = 1.25 * centres @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + (5.0, 1.0)
    found = solve_pose(centres, turned, np.ones(50), kind)
    assert np.linalg.svd(found.matrix[:, :2])[1] == pytest.approx(scale)


def test_a_bend_is_found_among_wrong_matches():
    y, x = np.mgrid[10:200:10, 10:200:10].astype(float)
    centres = np.column_stack([x.ravel(), y.ravel()])
    truth = np.column_stack([4 * np.sin(centres[:, 1] / 40), 3 * np.cos(centres[:, 0] / 40)])
    shifts = truth.copy()
    shifts[::4] = np.random.default_rng(2).uniform(-12, 12, (len(shifts[::4]), 2))
    field = fit_field(matches_of(centres, shifts), ((200, 200), 20.0), 0.1, (12.0, 2.0))
    assert np.abs(field.at(centres) - truth).max() < 0.8


def test_a_stiffer_field_bends_less():
    centres = spread_points(150)
    shifts = np.column_stack([3 * np.sin(centres[:, 0] / 15), np.zeros(150)])
    bends = [
        np.ptp(fit_field(matches_of(centres, shifts), ((200, 200), 20.0), stiff, (12.0, 6.0)).dx)
        for stiff in (0.01, 1e5)
    ]
    assert bends[1] < bends[0] / 3
