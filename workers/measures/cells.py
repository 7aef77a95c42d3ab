"""Cells: the 4-connected components of a class, grown back to their rim, with their outlines, as a stream.

The cells of a slide are those of the whole image, whatever the blocks it is read in: nothing is cut at a border,
nothing is counted twice, and the list is the same to the last digit and in the same order.

Order: squares of `ORDER_PX` row by row, by the last square that a component reaches (in that order); within a square
by the component's first pixel in raster order. It is the order in which blocks of that size complete them, so that
nothing has to wait; with other blocks, cells wait for the row of squares to be complete.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.measures_spec import CellsMeasure
from workers.geometry import Box
from workers.measures.components import Block, Limits, new_frontier, take_block
from workers.measures.outlines import trace_outlines
from workers.measures.pixels import Pixels
from workers.measures.simplify import simplify

__all__ = ["ORDER_PX", "Block", "Cell", "CellRule", "Tally", "stream_cells"]

ORDER_PX = 2048
SHEET_PX = 2**23
"""Outlines are made on sheets of about so many pixels."""

ReadBlock = Callable[[Box], Block | None]


@dataclass(frozen=True, eq=False, slots=True)
class Cell:
    """One cell, in px of the map it was found on: pixel i covers [i, i + 1)."""

    index: int
    """Place in the list, from 0."""
    x: float
    y: float
    """Centroid."""
    box: Box
    area_um2: float
    outline: NDArray[np.int32]
    """(n, 2): corners (x, y), clockwise as seen on the screen, not closed; a pixel's corner from the exact border."""
    probability: float | None = None
    """Mean of the heat over the component before it grew, 0 to 1."""
    vote: int | None = None
    """The most frequent class over the component before it grew; of equal ones the first. None where none was cast."""


@dataclass
class Tally:
    """What became of the components."""

    kept: int = 0
    too_small: int = 0
    too_large: int = 0


@dataclass(frozen=True)
class CellRule:
    """What counts as a cell on a map, in its pixels."""

    mpp: float
    min_area_px: float
    max_area_px: float
    grow_px: int = 0
    vote_classes: int = 0
    """Number of classes that may be voted for."""
    has_heat: bool = False

    @classmethod
    def of(cls, measure: CellsMeasure, mpp: float, vote_classes: int = 0, has_heat: bool = False) -> "CellRule":
        """The rule of a package's measure on a map of that mpp."""
        px_um2 = mpp * mpp
        lowest, highest = measure.min_area_um2 / px_um2, measure.max_area_um2 / px_um2
        return cls(mpp, lowest, highest, measure.grow_px, vote_classes, has_heat)


def stream_cells(
    read_block: ReadBlock,
    width_px: int,
    height_px: int,
    rule: CellRule,
    *,
    block_px: int = ORDER_PX,
    tally: Tally | None = None,
) -> Iterator[Cell]:
    """The cells of a map, one pass over it; memory is a block, its cells, and what crosses one line.

    Parameters
    ----------
    read_block
        Gives what is known of a box of the map (up to a block and one more column and row), or None where there is
        nothing.
    tally
        Counts what was kept and what was given up; complete when the stream ends.
    """
    image, counts = Box(0, 0, width_px, height_px), tally or Tally()
    frontier = new_frontier(image, block_px)
    limits = Limits(rule.min_area_px, rule.max_area_px, rule.grow_px)
    waiting: dict[int, list[Pixels]] = {}
    for core in blocks(image, block_px):
        block = read_block(Box(core.x, core.y, core.width + 1, core.height + 1).intersect(image))
        for found in take_block(frontier, core, block, limits):
            for square, part in _by_square(found, image, core, block_px):
                waiting.setdefault(square, []).append(part)
        for square in sorted(waiting):
            if not _is_complete(square, core, image):
                break
            yield from _cells(waiting.pop(square), rule, image, counts)
    counts.too_small += frontier.too_small
    counts.too_large += frontier.too_large


def blocks(image: Box, block_px: int) -> Iterator[Box]:
    """The blocks of an image, row by row."""
    for y in range(0, image.height, block_px):
        for x in range(0, image.width, block_px):
            yield Box(x, y, block_px, block_px).intersect(image)


def _is_complete(square: int, core: Box, image: Box) -> bool:
    """True where all squares up to this one lie in the blocks up to `core`."""
    columns = -(-image.width // ORDER_PX)
    row, column = divmod(square, columns)
    right, bottom = min((column + 1) * ORDER_PX, image.width), min((row + 1) * ORDER_PX, image.height)
    if core.right == image.width:
        return bottom <= core.bottom
    # The squares before it in its row reach as far down as it does, those in the rows above lie above.
    return bottom <= core.y or (bottom <= core.bottom and right <= core.right and row * ORDER_PX <= core.y)


def _by_square(found: Pixels, image: Box, core: Box, block_px: int) -> Iterator[tuple[int, Pixels]]:
    """The components by the last square that each reaches."""
    columns = -(-image.width // ORDER_PX)
    if block_px == ORDER_PX:
        yield core.y // ORDER_PX * columns + core.x // ORDER_PX, found
        return
    last = np.zeros(len(found.boxes), dtype=np.int64)
    np.maximum.at(last, found.owner, found.ys // ORDER_PX * columns + found.xs // ORDER_PX)
    for square in np.unique(last).tolist():
        yield square, found.take(np.flatnonzero(last == square))


def _cells(parts: list[Pixels], rule: CellRule, image: Box, counts: Tally) -> Iterator[Cell]:
    """The cells of complete components, in the order of their first pixels."""
    ordered = Pixels.join(parts).in_raster_order()
    boxes = ordered.boxes
    margin = 2 * rule.grow_px + 2
    area = np.cumsum((boxes[:, 2] - boxes[:, 0] + margin) * (boxes[:, 3] - boxes[:, 1] + margin))
    cuts = np.flatnonzero(np.diff(area // SHEET_PX)) + 1
    for group in np.split(np.arange(len(boxes)), cuts):
        yield from _make_cells(ordered.take(group) if len(cuts) else ordered, rule, image, counts)


def _make_cells(found: Pixels, rule: CellRule, image: Box, counts: Tally) -> Iterator[Cell]:
    outlines = trace_outlines(found, rule.grow_px, image)
    large = outlines.area_px > rule.max_area_px
    small = (outlines.area_px < rule.min_area_px) & ~large
    counts.too_small += int(small.sum())
    counts.too_large += int(large.sum())
    starts, points = simplify(outlines.starts, outlines.points)
    edges, places, boxes = starts.tolist(), outlines.centroids.tolist(), outlines.boxes.tolist()
    areas = (outlines.area_px * rule.mpp**2).tolist()
    probabilities, votes = _probabilities(found, rule), _votes(found, rule)
    for i in np.flatnonzero(~small & ~large).tolist():
        left, top, right, bottom = boxes[i]
        yield Cell(
            index=counts.kept,
            x=places[i][0],
            y=places[i][1],
            box=Box(left, top, right - left, bottom - top),
            area_um2=areas[i],
            outline=points[edges[i] : edges[i + 1]],
            probability=probabilities[i],
            vote=votes[i],
        )
        counts.kept += 1


def _probabilities(found: Pixels, rule: CellRule) -> list[float] | list[None]:
    if not rule.has_heat:
        return [None] * len(found.boxes)
    total = np.bincount(found.owner, weights=found.heat, minlength=len(found.boxes))
    mean: list[float] = (total / (255 * found.sizes())).tolist()
    return mean


def _votes(found: Pixels, rule: CellRule) -> list[int | None]:
    if not rule.vote_classes:
        return [None] * len(found.boxes)
    cast = found.votes < rule.vote_classes
    flat = found.owner[cast] * rule.vote_classes + found.votes[cast]
    counts = np.bincount(flat, minlength=len(found.boxes) * rule.vote_classes).reshape(-1, rule.vote_classes)
    winners, counted = counts.argmax(axis=1).tolist(), (counts.sum(axis=1) > 0).tolist()
    return [winner if any_cast else None for winner, any_cast in zip(winners, counted, strict=True)]
