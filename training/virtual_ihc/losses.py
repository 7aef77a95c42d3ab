"""The terms of the paper's loss: adversarial, cycle consistency, structural cycle consistency."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Adversarial = Literal["log", "least_squares"]
C1, C2 = 0.01**2, 0.03**2
"""What keeps SSIM's quotient finite, for images in 0..1, as its authors chose it."""


def fooling_loss(logits: Tensor, kind: Adversarial) -> Tensor:
    """How far a discriminator is from taking made images for real ones: what a generator brings down.

    `log` is -log D(G(x)), which has the fixed point of the paper's log(1 - D(G(x))) and gradients from the start.

    References
    ----------
    Goodfellow et al. 2014, doi:10.48550/arXiv.1406.2661; least squares by Mao et al., doi:10.1109/ICCV.2017.304.
    """
    if kind == "log":
        return F.softplus(-logits).mean()
    return (logits - 1).square().mean()


def judging_loss(real: Tensor, made: Tensor, kind: Adversarial) -> Tensor:
    """How often a discriminator errs on real and on made images, the mean of both."""
    if kind == "log":
        return 0.5 * (F.softplus(-real).mean() + F.softplus(made).mean())
    return 0.5 * ((real - 1).square().mean() + made.square().mean())


def cycle_loss(back: Tensor, source: Tensor) -> Tensor:
    """Mean absolute difference between an image and what came back of it."""
    return (back - source).abs().mean()


def structure_loss(back: Tensor, source: Tensor, window_px: int) -> Tensor:
    """1 - SSIM between an image and what came back of it."""
    return 1 - mean_ssim(back, source, window_px)


def mean_ssim(x: Tensor, y: Tensor, window_px: int) -> Tensor:
    """Structural similarity of images (N, C, H, W) in -1..1, the mean over windows, channels and images.

    Means, variances and covariance are taken over a square window of equal weights, as the paper writes it; it names
    no size. Windows lie inside the image.

    References
    ----------
    Wang et al. 2004, doi:10.1109/TIP.2003.819861.
    """
    # In float32 even under mixed precision: a variance as a difference of squares has no digits left in 16 bit.
    with torch.autocast(x.device.type, enabled=False):
        x, y = (x.float() + 1) / 2, (y.float() + 1) / 2
        mean_x, mean_y = _mean(x, window_px), _mean(y, window_px)
        var_x = _mean(x * x, window_px) - mean_x.square()
        var_y = _mean(y * y, window_px) - mean_y.square()
        both = _mean(x * y, window_px) - mean_x * mean_y
        light = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
        return (light * (2 * both + C2) / (var_x + var_y + C2)).mean()


def _mean(x: Tensor, window_px: int) -> Tensor:
    return F.avg_pool2d(x, window_px, stride=1)
