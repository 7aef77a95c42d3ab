"""The letters of Table III, and the paper's numbers as defaults."""

import pytest
import torch
from pydantic import ValidationError

from training.augment.chain import AugmentConfig, augment, middle


def pictures(count=4):
    return torch.rand((count, 3, 32, 32), generator=torch.Generator().manual_seed(2))


def run(letters, seed=0, **numbers):
    config = AugmentConfig(letters=letters, shift_px=numbers.pop("shift_px", 3), **numbers)
    return augment(pictures(), 24, config, torch.Generator().manual_seed(seed))


def test_defaults_are_the_papers():
    config = AugmentConfig()
    assert config.letters == "RCSEHBG"
    assert (config.stain_sigma, config.elastic_alpha, config.elastic_sigma_px) == (0.05, 100, 10)
    assert (config.scale_min, config.scale_max) == (0.75, 1.25)
    assert (config.strong_min, config.strong_max, config.brightness_min, config.brightness_max) == (
        0.75,
        1.5,
        0.75,
        1.25,
    )
    assert (config.blur_sigma_px, config.noise_sd, config.shift_px) == (2.0, 0.1, 14)


def test_without_letters_only_the_crop_moves():
    torch.testing.assert_close(run("", shift_px=0), middle(pictures(), 24), atol=1e-5, rtol=0)


@pytest.mark.parametrize("letter", "RCSEHBGL")
def test_every_letter_changes_something(letter):
    plain, changed = middle(pictures(), 24), run(letter, shift_px=0, halved=1.0)
    assert (changed - plain).abs().max() > 0.01


@pytest.mark.parametrize("letters", ["RSEB", "RCSEB", "RCSEHBG", "RCSEHBGL"])
def test_rows_of_the_table_give_images_in_range(letters):
    out = run(letters)
    assert out.shape == (4, 3, 24, 24)
    assert 0 <= out.min() < out.max() <= 1
    assert torch.equal(out, run(letters))
    assert not torch.equal(out, run(letters, seed=1))


def test_unknown_and_doubled_letters_are_refused():
    for letters in ("RX", "RR"):
        with pytest.raises(ValidationError, match="letters"):
            AugmentConfig(letters=letters)
