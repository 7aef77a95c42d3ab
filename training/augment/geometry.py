"""Other shapes: turns and mirrors, scale, elastic deformation and a moved crop, all in one resampling."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

LATTICE_PX = 4
"""Displacements are drawn on a lattice of this pitch: smooth over 10 px, they do not need every pixel."""


@dataclass(frozen=True)
class Shapes:
    """Which changes of shape, and how far; the paper's numbers are the defaults."""

    turn: bool = True
    scale_min: float = 0.75
    scale_max: float = 1.25
    elastic_alpha: float = 100.0
    elastic_sigma_px: float = 10.0
    shift_px: int = 14
    """How far, at most, the crop moves from the middle, in either direction: 14 crops 100 px anywhere out of 128."""


def reshape(images: Tensor, size_px: int, shapes: Shapes, generator: Generator) -> Tensor:
    """Crops (N, 3, size_px, size_px) of images (N, 3, H, W): turned, mirrored, scaled, bent and moved at random.

    Where scaling down needs more than there is, the image is mirrored at its edge. Without scale and bending every
    pixel is a pixel of the image.
    """
    count, _, height, width = images.shape
    places = _lattice(size_px) + draw_displacements(count, size_px, shapes, generator)
    draws = torch.rand((4, count), generator=generator)
    turns = _turns(draws[:2], shapes.turn) / _between(draws[2], shapes.scale_min, shapes.scale_max)[:, None, None]
    moved = torch.randint(-shapes.shift_px, shapes.shift_px + 1, (count, 1, 1, 2), generator=generator)
    points = torch.einsum("nyxi,nio->nyxo", places, turns) + moved
    grid = (2 * points / torch.tensor([width, height])).to(images)
    return F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)


def draw_displacements(count: int, size_px: int, shapes: Shapes, generator: Generator) -> Tensor:
    """Smooth random displacements in px, (N, size_px, size_px, 2).

    Simard's displacements are uniform in -1..1 at every pixel, smoothed by a Gaussian of `elastic_sigma_px` and
    multiplied by `elastic_alpha`. A sum over some thousand pixels is normal; so normal numbers on a coarse lattice,
    smoothed and interpolated, have the same spread and the same correlations at a fraction of the work.

    References
    ----------
    Simard, Steinkraus and Platt 2003, doi:10.1109/ICDAR.2003.1227801.
    """
    if shapes.elastic_alpha == 0:
        return torch.zeros(count, size_px, size_px, 2)
    sigma = shapes.elastic_sigma_px / LATTICE_PX
    radius = int(3 * sigma) + 1
    nodes = size_px // LATTICE_PX + 3
    side = nodes + 2 * radius
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    band = _band(kernel / kernel.sum(), nodes)
    # A node stands for LATTICE_PX**2 uniform numbers, each of variance 1/3: their mean has the root of this.
    spread = shapes.elastic_alpha / (3**0.5 * LATTICE_PX)
    noise = spread * torch.randn((count, 2, side, side), generator=generator)
    smooth = torch.matmul(torch.matmul(band, noise), band.T)
    steps = (torch.arange(size_px) - (size_px - 1) / 2) * 2 / (LATTICE_PX * (nodes - 1))
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([columns, rows], -1).expand(count, -1, -1, -1)
    return F.grid_sample(smooth, grid, "bilinear", align_corners=True).permute(0, 2, 3, 1)


def _lattice(size_px: int) -> Tensor:
    """Places of the pixels of a crop against its middle, (size, size, 2), x before y."""
    steps = torch.arange(size_px) - (size_px - 1) / 2
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([columns, rows], -1)


def _turns(draws: Tensor, turn: bool) -> Tensor:
    """Quarter turns, mirrored in half of the cases: matrices (N, 2, 2); unit matrices without `turn`."""
    quarters = torch.tensor([[[1.0, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]])
    if not turn:
        return quarters[:1].expand(draws.shape[1], 2, 2)
    mirror = torch.where(draws[1] < 0.5, 1.0, -1.0)
    sides = torch.stack([mirror, torch.ones_like(mirror)], -1)
    return quarters[(4 * draws[0]).long()] * sides[:, :, None]


def _between(draws: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * draws


def _band(kernel: Tensor, outputs: int) -> Tensor:
    """The valid convolution with a kernel as a matrix (outputs, outputs + len(kernel) - 1)."""
    band = torch.zeros(outputs, outputs + len(kernel) - 1)
    for row in range(outputs):
        band[row, row : row + len(kernel)] = kernel
    return band
