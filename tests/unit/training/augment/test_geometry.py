"""Turns, mirrors, scale, elastic deformation and moved crops."""

import math

import pytest
import torch

from training.augment.geometry import Shapes, draw_displacements, reshape

STILL = Shapes(turn=False, scale_min=1, scale_max=1, elastic_alpha=0, shift_px=0)


def ramp(count, side):
    """x in the first channel, y in the second: values tell where a pixel came from."""
    rows, columns = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    return (torch.stack([columns, rows, rows], 0) / side).expand(count, -1, -1, -1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_for_is_the_middle():
    picture = torch.rand((2, 3, 8, 8), generator=generator())
    torch.testing.assert_close(reshape(picture, 6, STILL, generator()), picture[:, :, 1:7, 1:7], atol=1e-5, rtol=0)


def test_turns_and_mirrors_are_the_eight_of_a_square():
    picture = torch.rand((1, 3, 6, 6), generator=generator()).expand(200, -1, -1, -1)
    turned = reshape(picture, 6, Shapes(True, 1, 1, 0, 10, 0), generator())
    wanted = [torch.rot90(m, k, (1, 2)) for m in (picture[0], picture[0].flip(2)) for k in range(4)]
    seen = torch.stack([torch.stack([(t - w).abs().max() for w in wanted]) for t in turned]) < 1e-4
    assert (seen.sum(1) == 1).all()
    counts = seen.sum(0)
    assert counts.min() >= 10


def test_scale_spreads_over_its_range():
    shapes = Shapes(turn=False, elastic_alpha=0, shift_px=0)
    out = reshape(ramp(300, 40), 10, shapes, generator())
    step = (out[:, 0, 5, 9] - out[:, 0, 5, 0]) * 40 / 9
    assert 1 / 1.25 - 1e-3 <= step.min() < 0.82
    assert 1.3 < step.max() <= 1 / 0.75 + 1e-3


def test_crops_move_by_whole_pixels_as_far_as_there_is_room():
    shapes = Shapes(turn=False, scale_min=1, scale_max=1, elastic_alpha=0, shift_px=14)
    out = reshape(ramp(400, 48), 20, shapes, generator())
    left, top = (out[:, c, 0, 0] * 48 - 0.5 for c in (0, 1))
    assert (left - left.round()).abs().max() < 1e-2
    assert (left.round().min(), left.round().max()) == (0, 28)
    assert (top.round().min(), top.round().max()) == (0, 28)


def test_displacements_have_the_spread_of_simards():
    # Uniform in -1..1 has the variance 1/3; a Gaussian of sigma 10 leaves 1 / (4 pi sigma^2) of it; alpha is 100.
    field = draw_displacements(60, 100, Shapes(), generator())
    assert field.shape == (60, 100, 100, 2)
    assert field.std().item() == pytest.approx(100 * math.sqrt(1 / 3 / (4 * math.pi * 100)), rel=0.06)
    assert field.mean().abs() < 0.1


def test_displacements_are_smooth_over_ten_pixels():
    # The correlation of white noise smoothed by sigma is exp(-d^2 / (4 sigma^2)): e^-1 at 20 px.
    field = draw_displacements(60, 100, Shapes(), generator())
    near = (field[:, :, 20:] * field[:, :, :-20]).mean() / (field**2).mean()
    assert near.item() == pytest.approx(math.exp(-1), abs=0.08)


def test_alpha_of_zero_bends_nothing():
    assert draw_displacements(2, 10, STILL, generator()).abs().max() == 0
