"""Other light: brightness, contrast and colour intensity."""

import torch
from torch import Generator, Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def enhance(images: Tensor, colour: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    """The images (N, 3, H, W) of 0..1 with factors (N,) applied in this order, each clipped to 0..1.

    Colour moves every pixel away from (above 1) or towards (below 1) its own grey, contrast every pixel from or to the
    image's mean grey, brightness multiplies: as photo editors, and the imaging library of Python, define them.
    """
    weights = torch.tensor(LUMA).to(images)
    grey = torch.einsum("nchw,c->nhw", images, weights)[:, None]
    images = torch.lerp(grey, images, _per_image(colour, images)).clamp_(0, 1)
    mean = torch.einsum("nc,c->n", images.mean((2, 3)), weights)
    images = torch.lerp(_per_image(mean, images), images, _per_image(contrast, images)).clamp_(0, 1)
    return (images * _per_image(brightness, images)).clamp_(0, 1)


def enhance_at_random(
    images: Tensor, strong: tuple[float, float], brightness: tuple[float, float], generator: Generator
) -> Tensor:
    """The images with factors drawn evenly: colour and contrast each from `strong`, brightness from `brightness`."""
    draws = torch.rand((3, len(images)), generator=generator)
    colour, contrast = strong[0] + (strong[1] - strong[0]) * draws[:2]
    return enhance(images, colour, contrast, brightness[0] + (brightness[1] - brightness[0]) * draws[2])


def _per_image(numbers: Tensor, images: Tensor) -> Tensor:
    return numbers.to(images)[:, None, None, None]
