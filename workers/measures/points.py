"""Points: one per component of a heat map, the strongest first, none too close to a stronger one.

A point lies at the heat-weighted centroid of its component (steadier than the highest pixel, which a plateau makes
arbitrary), and its probability is the highest of the component. Heat is stored in 1/255, and so are thresholds
compared.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.measures_spec import PointsMeasure
from workers.geometry import Box
from workers.measures.cells import ReadBlock, Tally, blocks
from workers.measures.components import Block, Limits, new_frontier, take_block
from workers.measures.pixels import Ints, Pixels

BLOCK_PX = 2048
"""The map is read in blocks of this side."""
MAX_COMPONENT_PX = 2**20
"""A larger component is a map that says yes everywhere, not a detection; it is counted as too large."""


@dataclass(frozen=True, slots=True)
class Point:
    """One detection, in px of the map it was found on: pixel i covers [i, i + 1)."""

    index: int
    """Place in the list, from 0: strongest first."""
    x: float
    y: float
    probability: float


def find_points(
    read_block: ReadBlock,
    width_px: int,
    height_px: int,
    measure: PointsMeasure,
    mpp: float,
    *,
    tally: Tally | None = None,
) -> list[Point]:
    """The points of a heat map, strongest first, of equals the upper left first; blocks do not show.

    Memory is a block and the points.

    Parameters
    ----------
    read_block
        Gives the heat of a box of the map (its `interior` is not looked at), or None where there is none.
    mpp
        Of the map.
    tally
        Counts components: kept, below the detection threshold or next to a stronger one (`too_small`), too large.
    """
    image, counts = Box(0, 0, width_px, height_px), tally or Tally()
    frontier = new_frontier(image, BLOCK_PX)
    lowest, limits = math.ceil(measure.component_threshold * 255), Limits(0, MAX_COMPONENT_PX)
    rows = [np.zeros((0, 3))]
    for core in blocks(image, BLOCK_PX):
        block = read_block(Box(core.x, core.y, core.width + 1, core.height + 1).intersect(image))
        warm = None if block is None else _above(block, lowest)
        rows += [_summarise(found) for found in take_block(frontier, core, warm, limits)]
    every = np.concatenate(rows)
    strong = every[every[:, 2] >= measure.detection_threshold * 255]
    ordered = strong[np.lexsort((strong[:, 0], strong[:, 1], -strong[:, 2]))]
    kept = ordered[suppress(ordered[:, :2], measure.min_distance_um / mpp)]
    counts.kept, counts.too_small, counts.too_large = len(kept), len(every) - len(kept), frontier.too_large
    return [Point(i, x, y, peak / 255) for i, (x, y, peak) in enumerate(kept.tolist())]


def suppress(places: NDArray[np.float64], distance: float) -> Ints:
    """Indices of the places that stay: each, in order, that is not nearer than `distance` to one that stayed before.

    Parameters
    ----------
    places
        (n, 2), strongest first.
    """
    if distance <= 0 or not len(places):
        return np.arange(len(places))
    tree = cKDTree(places)
    stays = np.ones(len(places), dtype=bool)
    for index in range(len(places)):
        if stays[index]:
            near = np.array(tree.query_ball_point(places[index], distance), dtype=np.int64)
            near = near[near > index]
            gaps = places[near] - places[index]
            stays[near[np.hypot(gaps[:, 0], gaps[:, 1]) < distance]] = False
    return np.flatnonzero(stays)


def _above(block: Block, lowest: int) -> Block:
    if block.heat is None:
        raise ValueError("points are found on heat, and the block has none")
    return Block(block.heat >= lowest, block.heat)


def _summarise(found: Pixels) -> NDArray[np.float64]:
    """(n, 3): x, y and peak heat of each component. Sums of whole numbers, so that no order of summing shows."""
    count, heat = len(found.boxes), found.heat.astype(np.int64)
    total, xs, ys, peak = (np.zeros(count, dtype=np.int64) for _ in range(4))
    np.add.at(total, found.owner, heat)
    np.add.at(xs, found.owner, heat * (2 * found.xs + 1))
    np.add.at(ys, found.owner, heat * (2 * found.ys + 1))
    np.maximum.at(peak, found.owner, heat)
    return np.stack((xs / (2 * total), ys / (2 * total), peak.astype(np.float64)), axis=1)
