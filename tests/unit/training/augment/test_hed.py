"""Stain augmentation: formulas 5 to 7 of the paper's appendix."""

import math

import pytest
import torch

from training.augment.hed import EPSILON, change_stains, from_hed, hed_jitter, hed_matrix, to_hed


def images(count=2, side=4):
    return torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(1))


def test_stains_are_unit_vectors_of_ruifrok():
    matrix = hed_matrix()
    assert matrix.norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert (matrix[0] / matrix[0, 0]).tolist() == pytest.approx([1, 0.70 / 0.65, 0.29 / 0.65])
    assert (matrix[1] / matrix[1, 1]).tolist() == pytest.approx([0.07 / 0.99, 1, 0.11 / 0.99])


def test_round_trip():
    rgb = images()
    torch.testing.assert_close(from_hed(to_hed(rgb)), rgb, atol=1e-5, rtol=0)


def test_a_pixel_of_pure_hematoxylin_worked_by_hand():
    # Absorbance 0.5 along the hematoxylin vector (0.65, 0.70, 0.29) / 0.9983: the natural logarithm, then M^-1.
    length = math.sqrt(0.65**2 + 0.70**2 + 0.29**2)
    pixel = torch.tensor([math.exp(-0.5 * c / length) - EPSILON for c in (0.65, 0.70, 0.29)]).reshape(1, 3, 1, 1)
    assert to_hed(pixel).flatten().tolist() == pytest.approx([0.5, 0, 0], abs=1e-5)
    doubled = change_stains(pixel, torch.tensor([[2.0, 1, 1]]), torch.tensor([[0.0, 0.1, 0]]))
    eosin = math.sqrt(0.07**2 + 0.99**2 + 0.11**2)
    wanted = [
        math.exp(-1.0 * h / length - 0.1 * e / eosin) - EPSILON
        for h, e in zip((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), strict=True)
    ]
    assert doubled.flatten().tolist() == pytest.approx(wanted, abs=1e-5)


def test_alpha_of_one_and_beta_of_zero_change_nothing():
    rgb = images()
    torch.testing.assert_close(change_stains(rgb, torch.ones(2, 3), torch.zeros(2, 3)), rgb, atol=1e-5, rtol=0)


def test_the_short_way_equals_the_three_formulas():
    rgb, alpha, beta = images(), torch.tensor([[0.9, 1.1, 1.0]] * 2), torch.tensor([[0.02, -0.03, 0.05]] * 2)
    wanted = from_hed(to_hed(rgb) * alpha[:, :, None, None] + beta[:, :, None, None]).clamp(0, 1)
    torch.testing.assert_close(change_stains(rgb, alpha, beta), wanted, atol=1e-5, rtol=0)


def test_jitter_stays_within_its_range_and_fills_it():
    # On a uniform image amounts change by (alpha - 1) S + beta: S of white is about 0, so beta alone shows.
    white = torch.full((400, 3, 1, 1), 1 - EPSILON - 0.2)
    generator = torch.Generator().manual_seed(3)
    before, after = to_hed(white)[0].flatten(), to_hed(hed_jitter(white, 0.05, generator)).flatten(1)
    change = after - before
    reach = 0.05 * (1 + before.abs())
    assert (change.abs() <= reach + 1e-4).all()
    assert (change.abs().amax(0) > 0.7 * reach).all()
    assert change.mean(0).abs().max() < 0.005


def test_images_differ_and_the_generator_decides():
    rgb = images(1).expand(3, -1, -1, -1)
    first, again = (hed_jitter(rgb, 0.05, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
