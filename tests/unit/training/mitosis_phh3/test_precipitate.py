"""Drawn specks: the same whatever box they are read with."""

import numpy as np

from models.colour import to_hed
from tests.array_slide import ArraySlide
from training.mitosis.phh3.candidates import find_brown
from training.mitosis.phh3.config import DabConfig
from training.mitosis.phh3.precipitate import REACH_UM, SoiledSlide, draw_specks
from workers.geometry import Box


def soiled(per_mm2=20_000, seed=1):
    slide = ArraySlide(np.full((300, 300, 3), 235, np.uint8), 0.25)
    return SoiledSlide(slide, draw_specks(75.0, 75.0, per_mm2, seed))


def test_a_pixel_does_not_depend_on_the_box():
    slide = soiled()
    whole = slide.read(Box(0, 0, 300, 300), 0.25)
    np.testing.assert_array_equal(slide.read(Box(37, 111, 90, 64), 0.25), whole[111:175, 37:127])


def test_specks_are_brown_and_become_candidates():
    slide = soiled()
    assert 80 < len(slide.specks.centres_um) < 150
    pixels = slide.read(Box(0, 0, 300, 300), 0.25)
    dark = pixels.max(axis=2) < 150
    assert np.median(to_hed(pixels)[dark][:, 2]) > 0.5
    assert len(find_brown(slide, DabConfig()).points_px) > 20


def test_no_grain_strays_from_its_speck():
    specks = draw_specks(1000, 1000, 500, 3)
    away = np.hypot(*(np.stack([specks.x_um, specks.y_um], 1) - specks.centres_um[specks.speck]).T)
    assert away.max() < REACH_UM


def test_the_seed_decides_and_none_are_drawn_where_none_are_asked_for():
    first, again, other = (draw_specks(500, 500, 500, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x_um, again.x_um)
    assert len(first.x_um) != len(other.x_um) or (first.x_um != other.x_um).any()
    clean = soiled(per_mm2=0)
    assert (clean.read(Box(0, 0, 300, 300), 0.25) == 235).all()
