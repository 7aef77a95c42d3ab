import numpy as np
import pytest

from training.phantom.noise import LARGEST_NOISE, Textures, smooth_noise, textures


def test_noise_at_a_point_does_not_depend_on_the_points_beside_it():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-5e3, 5e3, 300), rng.uniform(-5e3, 5e3, 300)
    together = smooth_noise(7, x, y, 90.0)
    alone = [smooth_noise(7, x[n : n + 1], y[n : n + 1], 90.0)[0] for n in range(0, 300, 17)]
    assert np.array_equal(together[::17], alone)


def test_noise_is_centred_of_unit_spread_bounded_and_smooth():
    x, y = np.meshgrid(np.arange(0, 6000.0, 5), np.arange(0, 6000.0, 25))
    noise = smooth_noise(1, x, y, 100.0)
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(1.0, abs=0.15)
    assert abs(noise).max() <= LARGEST_NOISE
    assert (
        abs(np.diff(noise, axis=1)).max() < 2**0.5 * 2 * 2.4 * 1.875 * 5 / 100.0
    )  # the quintic's steepest slope is 15/8


def test_no_points_no_noise():
    assert smooth_noise(1, np.zeros(0), np.zeros(0), 10.0).shape == (0,)


def test_textures_are_of_unit_spread_and_repeat_without_a_seam():
    grain = textures(5, 0.25)
    for name in ("fine", "medium", "chromatin", "threads", "bundle", "thread"):
        texture = getattr(grain, name)
        assert texture.std() == pytest.approx(1.0, abs=0.01)
        inside = abs(np.diff(texture, axis=0)).mean()
        assert abs(texture[0] - texture[-1]).mean() < 1.5 * inside


def test_window_repeats_the_texture():
    texture = np.arange(12, dtype=np.float32).reshape(3, 4)
    window = Textures.window(texture, -1, 2, 6, 4)
    expected = [[texture[(2 + r) % 3, (-1 + c) % 4] for c in range(6)] for r in range(4)]
    assert np.array_equal(window, expected)


def test_textures_are_the_same_each_time():
    assert np.array_equal(textures.__wrapped__(5, 0.5).medium, textures(5, 0.5).medium)
