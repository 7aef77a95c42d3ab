"""Exponents of curves that are known, and pieces of tissue laid on glass."""

import numpy as np
import pytest

from benchmarks.exponent import fit_power, fit_power_above
from benchmarks.slides import laid_out, spread
from tests.making import tissue, write_pyramid
from workers.geometry import Box
from workers.slides import open_slide

AREAS = [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.3])
def test_a_power_is_found(exponent):
    found = fit_power(AREAS, [3 * x**exponent for x in AREAS])
    assert found["exponent"] == pytest.approx(exponent)
    assert found["low"] == pytest.approx(exponent) == found["high"]
    above = fit_power_above(AREAS, [7 + 3 * x**exponent for x in AREAS])
    assert above["exponent"] == pytest.approx(exponent, abs=1e-3)
    assert above["fixed"] == pytest.approx(7, rel=1e-2)


def test_what_is_fixed_hides_the_exponent_of_a_plain_fit():
    seconds = [20 + x for x in AREAS]
    assert fit_power(AREAS, seconds)["exponent"] < 0.5
    assert fit_power_above(AREAS, seconds)["exponent"] == pytest.approx(1, abs=1e-3)


def test_noise_widens_the_interval_and_it_holds_the_truth():
    rng = np.random.default_rng(0)
    xs = AREAS * 3
    held = 0
    for _ in range(12):
        found = fit_power_above(xs, [(5 + 2 * x) * rng.normal(1, 0.02) for x in xs])
        held += found["low"] <= 1 <= found["high"]
        assert found["high"] > found["low"]
    assert held >= 9


def test_few_points_have_no_interval():
    assert fit_power([1.0, 2.0], [1.0, 2.0])["low"] is None
    assert fit_power_above([1.0, 2.0, 4.0], [2.0, 3.0, 5.0])["high"] is None


def test_places_are_apart_and_on_the_slide():
    assert len(set(spread(24, 8))) == 24
    assert all(0 <= x < 8 and 0 <= y < 8 for x, y in spread(24, 8))
    assert spread(1, 1) == ((0, 0),)


def test_a_piece_lies_where_it_was_put_and_glass_is_around_it(tmp_path):
    picture = np.full((1024, 1024, 3), 244, np.uint8)
    picture[256:512, 384:640] = tissue(256, 256, seed=1)
    source = write_pyramid(tmp_path / "piece.tiff", picture, mpp=0.5, factors=(1, 4, 16))
    path = laid_out(source, tmp_path / "laid.tiff", 3 * 1024, [(1, 2)], 0.5)
    piece, laid = open_slide(source), open_slide(path)
    assert (laid.info.width_px, laid.info.mpp, len(laid.info.levels)) == (3 * 1024, 0.5, 2)
    for factor in (1, 4):
        box = Box(256 // factor, 128 // factor, 512 // factor, 512 // factor)
        there = laid.read(box.shift(1024 // factor, 2048 // factor), 0.5 * factor)
        assert np.array_equal(there, piece.read(box, 0.5 * factor))
        assert there.min() < 200
    assert laid.read(Box(0, 0, 600, 600), 0.5).min() > 240
    # The glass is stored once.
    assert path.stat().st_size < source.stat().st_size + 10_000
    for slide in (piece, laid):
        slide.close()


def test_a_side_of_parts_of_pieces_is_refused(tmp_path):
    source = write_pyramid(tmp_path / "piece.tiff", tissue(256, 256), mpp=0.5, factors=(1,))
    with pytest.raises(ValueError, match="multiple"):
        laid_out(source, tmp_path / "laid.tiff", 300, [], 0.5)
