"""Stains mixed by their optical density vectors are told apart."""

import json

import numpy as np
import pytest

from tests.unit.quality.paintings import STAINS
from workers.quality import guess_stain


def _pixels(parts: list[tuple[int, dict[str, float]]], seed: int = 0) -> np.ndarray:
    """Pixels (N, 3): so many of each mix of stain amounts, each a little stronger or weaker."""
    rng = np.random.default_rng(seed)
    mixes = []
    for count, amounts in parts:
        density = sum(amount * np.array(STAINS[name]) for name, amount in amounts.items())
        strength = rng.uniform(0.8, 1.2, (count, 1))
        mixes.append(245 * 10 ** (-strength * density) + rng.normal(0, 2, (count, 3)))
    return np.clip(np.rint(np.concatenate(mixes)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("parts", "stain"),
    [
        ([(1000, {"hematoxylin": 0.6, "eosin": 0.2}), (3000, {"eosin": 0.5})], "he"),
        ([(3000, {"hematoxylin": 0.7, "eosin": 0.1}), (600, {"eosin": 0.4})], "he"),
        ([(1500, {"hematoxylin": 0.7, "eosin": 0.1}), (1700, {"eosin": 0.4}), (400, {"dab": 0.5})], "he"),
        ([(2000, {"hematoxylin": 0.5}), (2000, {"dab": 0.8})], "ihc-dab"),
        ([(3800, {"hematoxylin": 0.5}), (200, {"dab": 0.8})], "ihc-dab"),
        ([(4000, {"hematoxylin": 0.5})], "ihc-dab"),
        ([(4000, {"dab": 0.6})], "ihc-dab"),
    ],
    ids=["he", "he cellular", "he with shadows", "ihc", "ihc mostly negative", "ihc negative", "ihc strong"],
)
def test_a_mix_is_told(parts, stain):
    guess = guess_stain(_pixels(parts))
    assert guess.stain == stain
    assert 0.5 < guess.confidence <= 1


def test_the_parts_are_those_of_the_mix():
    guess = guess_stain(_pixels([(2000, {"hematoxylin": 0.6}), (1000, {"dab": 0.8}), (1000, {"eosin": 0.6})]))
    assert (guess.hematoxylin, guess.eosin, guess.dab) == pytest.approx((0.5, 0.25, 0.25), abs=0.02)
    assert guess.hematoxylin + guess.eosin + guess.dab + guess.other == pytest.approx(1)


def test_green_is_another_stain():
    guess = guess_stain(np.tile(np.uint8([60, 160, 120]), (2000, 1)))
    assert guess.stain == "other"
    assert guess.other == 1


@pytest.mark.parametrize("pixels", [_pixels([(499, {"eosin": 0.6})]), np.full((5000, 3), 240, dtype=np.uint8)])
def test_too_few_stained_pixels_are_no_ground_for_a_guess(pixels):
    guess = guess_stain(pixels)
    assert (guess.stain, guess.confidence) == ("other", 0.0)


def test_no_pixels_are_no_ground_either():
    assert guess_stain(np.zeros((0, 3), dtype=np.uint8)).confidence == 0


def test_glass_among_the_pixels_changes_nothing():
    stained = _pixels([(2000, {"eosin": 0.5}), (1000, {"hematoxylin": 0.6})])
    glass = np.full((5000, 3), 243, dtype=np.uint8)
    assert guess_stain(np.concatenate([glass, stained])) == guess_stain(stained)


def test_the_dictionary_is_json():
    told = guess_stain(_pixels([(2000, {"eosin": 0.5})])).as_dict()
    assert set(told) == {"stain", "confidence", "hematoxylin", "eosin", "dab", "other"}
    assert json.loads(json.dumps(told)) == told


def test_a_bluish_counterstain_without_brown_is_a_negative_ihc():
    """The counterstain of a mostly negative section: red exceeds green by a fifth of the density."""
    hue = np.array([0.52, 0.32, 0.16])
    strength = np.random.default_rng(4).uniform(0.5, 1.5, (3000, 1))
    guess = guess_stain(np.rint(245 * 10 ** (-strength * hue)).astype(np.uint8))
    assert guess.stain == "ihc-dab"
    assert guess.hematoxylin > 0.9
