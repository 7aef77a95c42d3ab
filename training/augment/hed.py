"""Stain augmentation: patches as another laboratory's hematoxylin and eosin might have coloured them."""

import torch
from torch import Generator, Tensor

HEMATOXYLIN_EOSIN_DAB = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Optical densities in red, green and blue of Ruifrok and Johnston 2001 (PMID 11531144), before they are normalised."""
EPSILON = 1.0 / 255
"""Added before the logarithm, one grey level: the paper asks for a positive number and names none."""


def hed_matrix() -> Tensor:
    """The rows hematoxylin, eosin and DAB, each of length 1, float32 (3, 3): M of the paper's formula 3."""
    rows = torch.tensor(HEMATOXYLIN_EOSIN_DAB)
    return torch.nn.functional.normalize(rows, dim=1)


def to_hed(images: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Amounts of the stains (N, 3, H, W) in images (N, 3, H, W) of 0..1: S = -log(P + epsilon) M^-1 (formula 5)."""
    return _mix(-torch.log(images + epsilon), torch.linalg.inv(hed_matrix()).to(images))


def from_hed(amounts: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Images (N, 3, H, W) of these amounts, not clipped: P = exp(-S M) - epsilon (formula 7)."""
    return torch.exp(-_mix(amounts, hed_matrix().to(amounts))) - epsilon


def change_stains(images: Tensor, alpha: Tensor, beta: Tensor, epsilon: float = EPSILON) -> Tensor:
    """The images with every stain multiplied by `alpha` and raised by `beta`, both (N, 3), clipped to 0..1.

    Formulas 5, 6 and 7 in one step: -log P' = -log P (M^-1 diag(alpha) M) + beta M, so that a pixel costs one 3x3
    product rather than two.
    """
    stains = hed_matrix().to(images)
    mixing = torch.linalg.inv(stains) @ (alpha.to(images)[:, :, None] * stains)
    density = torch.log(images.flatten(2) + epsilon).neg_()
    shift = (beta.to(images) @ stains)[:, :, None]
    changed = torch.baddbmm(shift, mixing.transpose(1, 2), density)
    return changed.neg_().exp_().sub_(epsilon).clamp_(0, 1).reshape(images.shape)


def hed_jitter(images: Tensor, sigma: float, generator: Generator) -> Tensor:
    """The images (N, 3, H, W) of 0..1 in other stains.

    Per image and stain alpha is drawn from U(1 - sigma, 1 + sigma) and beta from U(-sigma, sigma).

    Parameters
    ----------
    sigma
        0.05 in the paper.
    generator
        Of the CPU, whatever device the images are on: the same draws everywhere.

    References
    ----------
    Tellez et al., Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference to train distilled
    stain-invariant convolutional networks, doi:10.1109/TMI.2018.2820199, appendix, formulas 5 to 7.
    """
    draws = sigma * (2 * torch.rand((2, len(images), 3), generator=generator) - 1)
    return change_stains(images, 1 + draws[0], draws[1])


def _mix(planes: Tensor, matrix: Tensor) -> Tensor:
    """Rows of pixels times a matrix: planes (N, 3, H, W) and a matrix (3, 3)."""
    return torch.einsum("nihw,io->nohw", planes, matrix)
