"""The virtual stain of a whole slide, as the engine makes it: statistics once, tiles with a halo that is dropped."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.nets.frozen_norm import Calibrator, FrozenNetwork
from training.virtual_ihc.batches import to_bytes, to_float
from training.virtual_ihc.config import STRIDE_PX, Config
from training.virtual_ihc.networks import Generator, halo_px
from training.virtual_ihc.tiles import tile_corners
from workers.geometry import Box, round_down, round_up
from workers.quality.tissue import find_tissue
from workers.slides.slide import Slide, frame_size

Picture = NDArray[np.uint8]
NEAR_PX = (-8, -5, -3, 3, 5, 8)
"""Where the engine looks beside a border."""
IN_PHASE_PX = (-2 * STRIDE_PX, -STRIDE_PX, STRIDE_PX, 2 * STRIDE_PX)
"""At the same place of the network's stride grid: what repeats with it is no seam."""


@dataclass(frozen=True, eq=False)
class VirtualSlide:
    """A slide in two stains, at the recipe's mpp, uint8 (H, W, 3) each."""

    he: Picture
    virtual: Picture
    statistics: Tensor
    """Those that every tile was normalised with."""
    seam: float
    """The gradient across tile borders over the gradient beside them, as the engine scores its maps."""
    seam_in_phase: float
    """The same against places that lie alike on the stride grid. It is 1 where nobody can tell a border, also where a
    checkerboard of transposed convolutions keeps the other one from it."""


def virtual_slide(generator: Generator, slide: Slide, config: Config) -> VirtualSlide:
    """The slide's H&E and its virtual Ki-67."""
    mpp, tile_px = config.data.mpp, config.package.tile_px
    statistics = slide_statistics(generator, slide, config)
    net, halo = FrozenNetwork(generator).eval(), halo_px(config.net)
    width_px, height_px = frame_size(slide.info, mpp)
    whole = np.full((round_up(height_px, STRIDE_PX), round_up(width_px, STRIDE_PX), 3), 255, np.uint8)
    for box in _boxes(whole.shape, tile_px):
        tile = slide.read(box.grow(halo), mpp)
        with torch.no_grad():
            made = to_bytes(net(to_float(tile[None]), statistics))[0]
        whole[box.y : box.bottom, box.x : box.right] = made[halo : halo + box.height, halo : halo + box.width]
    virtual = whole[:height_px, :width_px]
    he = slide.read(Box(0, 0, width_px, height_px), mpp)
    return VirtualSlide(
        he, virtual, statistics, seam_score(virtual, tile_px), seam_score(virtual, tile_px, IN_PHASE_PX)
    )


def slide_statistics(generator: Generator, slide: Slide, config: Config) -> Tensor:
    """The statistics of instance norms over a sample of the slide's tissue, at even steps in reading order.

    The engine samples the cells of its own grid; here the tiles of training's grid are sampled alike.

    Raises
    ------
    ValueError
        The slide has no tile of tissue.
    """
    corners = tile_corners(slide.info, find_tissue(slide), config.data)
    if not len(corners):
        raise ValueError("the slide has no tile of tissue: nothing can be stained")
    count, side = config.package.sample_tiles, config.package.sample_px
    chosen = np.linspace(0, len(corners) - 1, min(count, len(corners))).round().astype(int)
    offset = (config.data.tile_px - side) // 2
    starts = [[round_down(int(value) + offset, STRIDE_PX) for value in corners[i]] for i in chosen]
    boxes = [Box(x, y, side, side) for x, y in starts]
    sample = np.stack([slide.read(box, config.data.mpp) for box in boxes])
    with torch.no_grad():
        found: Tensor = Calibrator(generator).eval()(to_float(sample))
    return found


def seam_score(picture: Picture, tile_px: int, near_px: tuple[int, ...] = NEAR_PX) -> float:
    """Mean absolute step across tile borders over that so many px beside them; 1 where there is no border."""
    at, near = np.zeros(2), np.zeros(2)
    for values in (picture, picture.swapaxes(0, 1)):
        steps = np.abs(np.diff(values.astype(np.int16), axis=1))
        for border in range(tile_px, values.shape[1], tile_px):
            at += _sums(steps, border)
            for column in (border + d for d in near_px if 0 < border + d < values.shape[1]):
                near += _sums(steps, column)
    return float((at[0] / at[1]) / (near[0] / near[1])) if at[1] and near[0] else 1.0


def _sums(steps: NDArray[np.int16], column: int) -> NDArray[np.float64]:
    """Sum and number of the steps onto a column."""
    return np.array([steps[:, column - 1].sum(), steps[:, column - 1].size], np.float64)


def _boxes(shape: tuple[int, ...], tile_px: int) -> Iterator[Box]:
    for y in range(0, shape[0], tile_px):
        for x in range(0, shape[1], tile_px):
            yield Box(x, y, min(tile_px, shape[1] - x), min(tile_px, shape[0] - y))
