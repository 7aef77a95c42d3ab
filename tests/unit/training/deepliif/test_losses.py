import math

import pytest
import torch

from training.deepliif.losses import (
    segmentation_fooled,
    segmentation_told_apart,
    smooth_l1,
    translation_fooled,
    translation_told_apart,
)


def loss_of(gap, bend="paper"):
    return float(smooth_l1(torch.tensor([1.0 - gap]), torch.tensor([1.0]), bend))


@pytest.mark.parametrize(
    ("gap", "paper", "huber"),
    [(0.0, 0.0, 0.0), (0.4, 0.08, 0.08), (-0.4, 0.08, 0.08), (0.5, 0.0, 0.125), (0.75, 0.25, 0.28125), (2.0, 1.5, 1.5)],
)
def test_smooth_l1_bends_at_a_half_as_the_paper_writes_it(gap, paper, huber):
    assert loss_of(gap) == pytest.approx(paper, abs=1e-6)
    assert loss_of(gap, "torch") == pytest.approx(huber, abs=1e-6)


def test_gradients_differ_between_the_two_bends_alone():
    for gap, paper, huber in ((0.3, 0.3, 0.3), (0.75, 1.0, 0.75), (1.5, 1.0, 1.0)):
        for bend, wanted in (("paper", paper), ("torch", huber)):
            made = torch.tensor([0.0], requires_grad=True)
            smooth_l1(made, torch.tensor([gap]), bend).backward()
            assert float(made.grad) == pytest.approx(-wanted)


def test_the_mean_is_over_all_numbers():
    made, real = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    real[0, 0, 0, 0] = 1.5
    assert float(smooth_l1(made, real)) == pytest.approx(1.0 / 12)


def test_translation_is_cross_entropy_on_logits():
    logits = torch.tensor([0.0, math.log(3.0)])
    assert float(translation_fooled(logits)) == pytest.approx((math.log(2) - math.log(0.75)) / 2)
    apart = float(translation_told_apart(torch.tensor([math.log(3.0)]), torch.tensor([-math.log(3.0)])))
    assert apart == pytest.approx(-math.log(0.75))


def test_segmentation_is_least_squares_towards_one_and_zero():
    assert float(segmentation_fooled(torch.tensor([1.0, 3.0]))) == pytest.approx(1.0)
    assert float(segmentation_told_apart(torch.tensor([1.0]), torch.tensor([0.0]))) == 0.0
    assert float(segmentation_told_apart(torch.tensor([3.0]), torch.tensor([2.0]))) == pytest.approx(2.0 + 2.0)
