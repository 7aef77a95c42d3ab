"""The terms of the loss on numbers worked by hand, and SSIM beside another implementation."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from training.virtual_ihc.losses import cycle_loss, fooling_loss, judging_loss, mean_ssim, structure_loss


def test_least_squares_pulls_real_to_one_and_made_to_zero():
    real, made = torch.tensor([1.0, 0.5]), torch.tensor([0.0, 2.0])
    assert float(judging_loss(real, made, "least_squares")) == pytest.approx(0.5 * (0.25 / 2 + 4 / 2))
    assert float(fooling_loss(made, "least_squares")) == pytest.approx((1 + 1) / 2)
    assert float(fooling_loss(torch.ones(3), "least_squares")) == 0


def test_the_papers_logarithm():
    real, made = torch.tensor([0.7]), torch.tensor([-1.2])
    d_real, d_made = (1 / (1 + math.exp(-x)) for x in (0.7, -1.2))
    expected = -0.5 * (math.log(d_real) + math.log(1 - d_made))
    assert float(judging_loss(real, made, "log")) == pytest.approx(expected, rel=1e-6)
    assert float(fooling_loss(made, "log")) == pytest.approx(-math.log(d_made), rel=1e-6)


def test_cycle_is_the_mean_absolute_difference():
    assert float(cycle_loss(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 1.0]))) == pytest.approx(1.25)


def test_ssim_is_that_of_another_implementation():
    generator = np.random.default_rng(3)
    x = generator.random((24, 30))
    y = np.clip(x + generator.normal(0, 0.2, x.shape), 0, 1)
    _, known = structural_similarity(x, y, win_size=11, data_range=1.0, use_sample_covariance=False, full=True)
    tensors = [torch.from_numpy(a * 2 - 1)[None, None] for a in (x, y)]
    assert float(mean_ssim(*tensors, 11)) == pytest.approx(known[5:-5, 5:-5].mean(), abs=1e-5)


def test_structure_is_one_minus_ssim_and_has_a_gradient():
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    assert float(structure_loss(image, image, 11)) == pytest.approx(0, abs=1e-6)
    other = (torch.rand(1, 3, 16, 16) * 2 - 1).requires_grad_()
    loss = structure_loss(other, image, 11)
    torch.autograd.backward(loss)
    assert float(loss.detach()) == pytest.approx(1 - float(mean_ssim(other.detach(), image, 11)))
    assert other.grad is not None
    assert other.grad.abs().sum() > 0
