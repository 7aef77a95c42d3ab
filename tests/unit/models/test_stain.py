"""Stain normalisation and colour spaces against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.colour import from_density, from_hed, from_lab, optical_density, to_hed, to_lab
from models.stain import fit_stain
from models.stain_spec import MacenkoStep, ReinhardStep

SLIDE_STAINS = np.array([[0.60, 0.72, 0.35], [0.15, 0.95, 0.27]])
SLIDE_STAINS /= np.linalg.norm(SLIDE_STAINS, axis=1, keepdims=True)
TARGET = MacenkoStep(stain_matrix=((0.65, 0.70, 0.29), (0.07, 0.99, 0.11)), max_concentrations=(1.5, 1.0))
LAB_TARGET = ReinhardStep(mean=(60.0, 20.0, -15.0), std=(12.0, 8.0, 6.0))
COLOURS = arrays.arrays(np.uint8, (7, 3), elements=st.integers(0, 255))


def stained(stains=SLIDE_STAINS, scale=1.0, seed=0):
    """(2, 64, 64, 3) bytes mixed of two dyes with many nearly pure pixels, and their amounts."""
    generator = np.random.default_rng(seed)
    amounts = generator.gamma(2.0, 0.35, (2, 64, 64, 2)) * scale
    pure = generator.random((2, 64, 64))
    amounts[pure < 0.1, 1] = 0
    amounts[pure > 0.9, 0] = 0
    return from_density((amounts @ stains).astype(np.float32)), amounts


@given(COLOURS)
def test_hed_and_density_and_lab_give_the_bytes_back(rgb):
    np.testing.assert_array_equal(from_density(optical_density(rgb)), rgb)
    np.testing.assert_array_equal(from_hed(to_hed(rgb)), rgb)
    np.testing.assert_allclose(from_lab(to_lab(rgb)).astype(int), rgb, atol=1)


def test_hed_of_a_pure_dye_is_that_dye():
    brown = from_hed(np.array([[0.0, 0.0, 0.8], [0.9, 0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(to_hed(brown), [[0, 0, 0.8], [0.9, 0, 0]], atol=0.02)


def test_lab_is_that_of_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    np.testing.assert_allclose(to_lab(rgb), color.rgb2lab(rgb), atol=0.02)


def test_macenko_finds_the_slides_own_stains():
    sample, _ = stained()
    (found,) = fit_stain((TARGET,), sample).as_dict()["steps"]
    cosines = (np.array(found["stain_matrix"]) * SLIDE_STAINS).sum(axis=1)
    assert np.rad2deg(np.arccos(cosines)).max() < 4


def test_macenko_maps_to_the_targets_stains():
    sample, _ = stained()
    normalised = fit_stain((TARGET,), sample).apply(sample[0])
    again = fit_stain((TARGET,), normalised[np.newaxis]).as_dict()["steps"][0]
    np.testing.assert_allclose(again["stain_matrix"], TARGET.stain_matrix, atol=0.05)
    np.testing.assert_allclose(again["max_concentrations"], TARGET.max_concentrations, rtol=0.1)


def test_macenko_makes_two_scanners_of_one_tissue_alike():
    faint, _ = stained(scale=0.7)
    strong, _ = stained(stains=np.array([[0.7, 0.65, 0.3], [0.1, 0.98, 0.2]]), scale=1.1)
    before = np.abs(faint.astype(int) - strong).mean()
    after = np.abs(
        fit_stain((TARGET,), faint).apply(faint[0]).astype(int) - fit_stain((TARGET,), strong).apply(strong[0])
    )
    assert after.mean() < before / 3


def test_macenko_leaves_white_white():
    fitted = fit_stain((TARGET,), stained()[0])
    assert (fitted.apply(np.full((2, 2, 3), 255, dtype=np.uint8)) == 255).all()


def test_reinhard_gives_the_targets_mean_and_spread():
    sample, _ = stained(scale=0.6)
    fitted = fit_stain((LAB_TARGET,), sample)
    tissue = sample[optical_density(sample).max(axis=-1) > 0.15]
    lab = to_lab(fitted.apply(tissue[np.newaxis])[0])
    np.testing.assert_allclose(lab.mean(axis=0), LAB_TARGET.mean, atol=1.5)
    np.testing.assert_allclose(lab.std(axis=0), LAB_TARGET.std, atol=1.5)


def test_steps_follow_one_another():
    sample, _ = stained()
    both = fit_stain((TARGET, LAB_TARGET), sample)
    first = fit_stain((TARGET,), sample)
    after_first = np.stack([first.apply(tile) for tile in sample])
    second = fit_stain((LAB_TARGET,), after_first)
    np.testing.assert_array_equal(both.apply(sample[0]), second.apply(first.apply(sample[0])))


def test_no_steps_give_the_tile_itself():
    tile = stained()[0][0]
    fitted = fit_stain((), tile[np.newaxis])
    assert fitted.apply(tile) is tile
    assert fitted.as_dict() == {"steps": [], "warnings": []}


@pytest.mark.parametrize("step", [TARGET, LAB_TARGET])
@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (np.full((1, 40, 40, 3), 255, dtype=np.uint8), "only 0 tissue pixels"),
        (np.full((1, 40, 40, 3), (150, 90, 160), dtype=np.uint8), "one stain|flat"),
    ],
)
def test_what_cannot_be_fitted_is_left_alone_and_said(step, sample, reason):
    fitted = fit_stain((step,), sample)
    tile = stained()[0][0]
    assert fitted.apply(tile) is tile
    (warning,) = fitted.as_dict()["warnings"]
    assert warning.startswith(step.kind)
    assert any(part in warning for part in reason.split("|"))


def test_one_stain_is_not_split_in_two():
    _, amounts = stained()
    only_hematoxylin = from_density((amounts[..., :1] * SLIDE_STAINS[:1]).astype(np.float32))
    assert "one stain" in fit_stain((TARGET,), only_hematoxylin).warnings[0]


def test_the_same_sample_fits_the_same_numbers():
    sample, _ = stained()
    assert fit_stain((TARGET, LAB_TARGET), sample).as_dict() == fit_stain((TARGET, LAB_TARGET), sample.copy()).as_dict()
