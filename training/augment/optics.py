"""Other scanners: out of focus, noisy, of half the resolution."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    """The images (N, 3, H, W), each smoothed by a Gaussian of its own spread (N,).

    Rows and columns are smoothed by a product with a band matrix whose rows sum to 1, so that edges keep their level.
    """
    down, across = (_gaussian(side, sigma_px).to(images) for side in images.shape[-2:])
    return torch.matmul(torch.matmul(down[:, None], images), across.transpose(1, 2)[:, None])


def blur_at_random(images: Tensor, sigma_max_px: float, generator: Generator) -> Tensor:
    """The images smoothed by Gaussians whose spread is drawn evenly from 0 to `sigma_max_px`."""
    return blur(images, sigma_max_px * torch.rand(len(images), generator=generator))


def add_noise(images: Tensor, sd_max: float, generator: Generator) -> Tensor:
    """The images with normal noise in every value, its spread drawn evenly from 0 to `sd_max`; clipped to 0..1."""
    spread = sd_max * torch.rand((len(images), 1, 1, 1), generator=generator)
    noise = torch.randn(images.shape, generator=generator).mul_(spread)
    return noise.to(images).add_(images).clamp_(0, 1)


def halve_resolution(images: Tensor, share: float, generator: Generator) -> Tensor:
    """The images, a `share` of them shrunk to half and blown up again, as a slide scanned at half the power looks."""
    chosen = torch.rand(len(images), generator=generator) < share
    coarse = F.avg_pool2d(images[chosen], 2)
    found = images.clone()
    found[chosen] = F.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)
    return found


def _gaussian(side: int, sigma_px: Tensor) -> Tensor:
    """Matrices (N, side, side) that smooth a line of `side` px; a spread of 0 leaves it as it is."""
    places = torch.arange(side)
    apart = (places[:, None] - places[None, :]) ** 2
    weights = torch.exp(-0.5 * apart / sigma_px.clamp_min(1e-3)[:, None, None] ** 2)
    return weights / weights.sum(2, keepdim=True)
