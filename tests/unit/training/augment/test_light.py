"""Colour, contrast, brightness, blur, noise and halved resolution."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from training.augment.colour import enhance, enhance_at_random
from training.augment.optics import add_noise, blur, blur_at_random, halve_resolution


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def factors(*values):
    return torch.tensor(values)


def test_colour_moves_a_pixel_from_its_own_grey():
    pixel = torch.tensor([0.5, 0.4, 0.6]).reshape(1, 3, 1, 1)
    grey = 0.299 * 0.5 + 0.587 * 0.4 + 0.114 * 0.6
    out = enhance(pixel, factors(1.5), factors(1.0), factors(1.0)).flatten().tolist()
    assert out == pytest.approx([grey + 1.5 * (v - grey) for v in (0.5, 0.4, 0.6)], abs=1e-6)


def test_contrast_moves_pixels_from_the_mean_grey():
    picture = torch.tensor([0.2, 0.6]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    out = enhance(picture, factors(1.0), factors(0.5), factors(1.0))
    assert out[0, 0, 0].tolist() == pytest.approx([0.3, 0.5])


def test_brightness_multiplies_and_clips():
    picture = torch.tensor([0.2, 0.9]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert enhance(picture, factors(1.0), factors(1.0), factors(1.25))[0, 0, 0].tolist() == pytest.approx([0.25, 1.0])


def test_enhance_is_what_the_imaging_library_does():
    pixels = (torch.rand((5, 6, 3), generator=generator()) * 120 + 60).to(torch.uint8).numpy()
    wanted = Image.fromarray(pixels)
    for kind, factor in ((ImageEnhance.Color, 1.3), (ImageEnhance.Contrast, 0.8), (ImageEnhance.Brightness, 1.1)):
        wanted = kind(wanted).enhance(factor)
    found = enhance(torch.tensor(pixels).permute(2, 0, 1)[None] / 255, factors(1.3), factors(0.8), factors(1.1))
    expected = torch.tensor(np.asarray(wanted)).permute(2, 0, 1) / 255
    assert (found[0] - expected).abs().max() < 3.5 / 255


def test_factors_fill_the_papers_ranges():
    grey = torch.full((500, 3, 1, 1), 0.5)
    out = enhance_at_random(grey, (0.75, 1.5), (0.75, 1.25), generator())[:, 0, 0, 0] / 0.5
    assert 0.75 <= out.min() < 0.77
    assert 1.23 < out.max() <= 1.25


def test_blur_is_a_gaussian_that_keeps_the_level():
    spot = torch.zeros(2, 3, 31, 31)
    spot[:, :, 15, 15] = 1
    out = blur(spot, factors(2.0, 1.0))
    assert out.sum((2, 3)).flatten().tolist() == pytest.approx([1] * 6, abs=1e-4)
    steps = torch.arange(31) - 15
    variance = (out[:, 0].sum(1) * steps**2).sum(1)
    assert variance.tolist() == pytest.approx([4.0, 1.0], rel=0.01)
    flat = torch.full((1, 3, 9, 9), 0.7)
    torch.testing.assert_close(blur(flat, factors(2.0)), flat)


def test_blur_of_zero_changes_nothing_and_spreads_differ():
    picture = torch.rand((40, 3, 9, 9), generator=generator())
    torch.testing.assert_close(blur(picture[:1], factors(0.0)), picture[:1])
    change = (blur_at_random(picture, 2.0, generator()) - picture).abs().mean((1, 2, 3))
    assert change.std() > 0.01


def test_noise_has_spreads_from_nothing_to_its_most():
    grey = torch.full((300, 3, 12, 12), 0.5)
    spread = (add_noise(grey, 0.1, generator()) - 0.5).flatten(1).std(1)
    assert spread.min() < 0.005
    assert 0.09 < spread.max() < 0.11
    assert spread.mean().item() == pytest.approx(0.05, abs=0.006)


def test_a_share_of_the_images_loses_its_fine_detail():
    fine = (torch.arange(8) % 2).float().expand(400, 3, 8, 8)
    out = halve_resolution(fine, 0.25, generator())
    coarse = (out - 0.5).abs().amax((1, 2, 3)) < 1e-6
    assert 0.17 < coarse.float().mean() < 0.33
    assert torch.equal(out[~coarse], fine[~coarse])
