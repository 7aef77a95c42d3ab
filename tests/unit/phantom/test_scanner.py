from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from training.phantom.render import render_region
from training.phantom.scanner import halo_px, scan
from training.phantom.spec import PhantomSpec
from workers.geometry import Box

SPEC = PhantomSpec(seed=1, noise=0.0, blur_um=0.3)


def picture(halo, side=24):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (3, side + 2 * halo, side + 2 * halo)).astype(np.float32)


def test_blur_is_a_gaussian():
    halo = halo_px(SPEC)
    light = picture(halo)
    seen = scan(SPEC, "he", light, np.ones(light.shape[1:], np.float32), (0, 0, 24, halo))
    slow = gaussian_filter(light[1], 0.3 / 0.25, truncate=2.5)[halo:-halo, halo:-halo]
    assert seen[..., 1].astype(float) == pytest.approx(slow, abs=1.0)


def test_the_halo_is_as_wide_as_the_blur_reaches():
    halo = halo_px(SPEC)
    light = picture(halo)
    lit = np.ones(light.shape[1:], np.float32)
    larger = np.pad(light, ((0, 0), (5, 5), (5, 5)), constant_values=7.0)
    lit_larger = np.ones(larger.shape[1:], np.float32)
    one = scan(SPEC, "he", light, lit, (0, 0, 24, halo))
    other = scan(SPEC, "he", larger, lit_larger, (0, 0, 24, halo + 5))
    assert np.array_equal(one, other)


def test_noise_has_the_spread_asked_for_and_spares_bare_glass():
    spec = replace(SPEC, noise=2.0)
    light = np.full((3, 64, 64), 120.0, np.float32)
    lit = np.zeros((64, 64), np.float32)
    lit[:, 32:] = 1.0
    seen = scan(replace(spec, blur_um=0.0), "he", light, lit, (0, 0, 64, 0)).astype(float)
    assert (seen[:, :32] == 120).all()
    assert seen[:, 32:].std() == pytest.approx(2.0, rel=0.15)


def test_classes_are_neither_blurred_nor_noisy():
    light = picture(2).round()
    spec = replace(SPEC, noise=9.0)
    seen = scan(spec, "mask", light, np.ones((28, 28), np.float32), (0, 0, 24, 2))
    assert np.array_equal(np.moveaxis(seen, 2, 0), light[:, 2:-2, 2:-2])


def test_defocus_takes_sharpness_from_its_part_of_the_slide():
    sharp = PhantomSpec(seed=2, width_px=4096, height_px=4096, tissue=1.0, noise=0.0)
    box = Box(0, 0, 512, 512)
    steps = [
        abs(np.diff(render_region(replace(sharp, defocus=part), "he", box).astype(float), axis=1)).mean()
        for part in (0.0, 1.0)
    ]
    assert steps[1] < 0.6 * steps[0]
