"""The losses of DeepLIIF's paper."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor], Tensor]
Bend = Literal["paper", "torch"]
PAPER_BEND = 0.5


def smooth_l1(made: Tensor, real: Tensor, bend: Bend = "paper") -> Tensor:
    """The mean over all numbers of `0.5 a^2` where |a| < bend, else `|a| - 0.5`, with a = real - made.

    The paper's formula (3) bends at 0.5. There the loss falls from 0.125 to 0, so it is no Huber loss: that bends at 1,
    as torch's does, and has no step. Gradients are a below the bend and the sign of a above it either way; the two
    differ where 0.5 <= |a| < 1, where the paper's pulls with 1 and Huber's with |a|.

    References
    ----------
    Ghahremani et al., doi:10.1038/s42256-022-00471-x, formula (3); Girshick 2015, doi:10.1109/ICCV.2015.169.
    """
    if bend == "torch":
        return F.smooth_l1_loss(made, real)
    gap = (real - made).abs()
    return torch.where(gap < PAPER_BEND, 0.5 * gap * gap, gap - 0.5).mean()


def translation_fooled(said: Tensor) -> Tensor:
    """What a translator pays for the discriminator's logits of its picture: -log D, the usual form of formula (1)."""
    return F.binary_cross_entropy_with_logits(said, torch.ones_like(said))


def translation_told_apart(of_real: Tensor, of_made: Tensor) -> Tensor:
    """What a translator's discriminator pays: the mean of -log D(real) and -log(1 - D(made))."""
    real = F.binary_cross_entropy_with_logits(of_real, torch.ones_like(of_real))
    made = F.binary_cross_entropy_with_logits(of_made, torch.zeros_like(of_made))
    return 0.5 * (real + made)


def segmentation_fooled(said: Tensor) -> Tensor:
    """What the segmenters pay for one discriminator's answer to the mask: half of (D - 1)^2, formula (5).

    References
    ----------
    Mao et al. 2017 (LSGAN), doi:10.1109/ICCV.2017.304.
    """
    return 0.5 * (said - 1).square().mean()


def segmentation_told_apart(of_real: Tensor, of_made: Tensor) -> Tensor:
    """What a segmenter's discriminator pays: half of (D(real) - 1)^2 and half of D(made)^2, formula (5)."""
    return 0.5 * (of_real - 1).square().mean() + 0.5 * of_made.square().mean()
