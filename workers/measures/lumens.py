"""Large holes in the cells of a mask: what no cell's pixel is, and yet is closed in by cells, across many blocks.

DeepLIIF's rule gives every hole to the cell around it, however large. Whether something is a hole is not to be seen in
a part of the mask: cells that touch all around a gland close it in over thousands of pixels. So the mask is read once
before its cells are looked for, and regions are followed from block to block. What is small needs none of this: it lies
whole in any window that shows its cell.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.deepliif.cells import UNKNOWN, Bytes, Labels, Mask
from workers.geometry import Box
from workers.measures.unions import Unions

Ints = NDArray[np.int64]
ReadClasses = Callable[[Box], Bytes | None]
"""Classes of the pixels of a box as `classify_pixels` gives them; None where there is no cell's pixel."""


@dataclass(frozen=True, eq=False)
class Lumens:
    """Where the large holes are."""

    read_classes: ReadClasses
    image: Box
    block_px: int
    numbers: dict[tuple[int, int], Ints]
    """By (column, row) of a block: which of its unknown regions are parts of large holes."""

    def mark(self, window: Box) -> Mask | None:
        """bool (h, w): pixels of large holes; None where the window has none."""
        found: Mask | None = None
        side = self.block_px
        for row in range(window.y // side, -(-window.bottom // side)):
            for column in range(window.x // side, -(-window.right // side)):
                numbers = self.numbers.get((column, row))
                if numbers is None:
                    continue
                if found is None:
                    found = np.zeros((window.height, window.width), bool)
                block = Box(column * side, row * side, side, side).intersect(self.image)
                inside = np.isin(_regions(self.read_classes(block), block), numbers)
                part = block.intersect(window)
                here, there = part.shift(-window.x, -window.y), part.shift(-block.x, -block.y)
                found[here.y : here.bottom, here.x : here.right] = inside[there.y : there.bottom, there.x : there.right]
        return found


@dataclass(eq=False)
class _Lines:
    """The numbers along the right side of the block before, and along the lower sides of the blocks above."""

    right: Ints
    below: Ints
    pieces: dict[tuple[int, int], tuple[Ints, Ints]] = field(default_factory=dict)
    """By (column, row): regions that reach the block's rim, and their numbers among all pieces."""


def find_lumens(
    read_classes: ReadClasses, image: Box, block_px: int, small_px: int, check: Callable[[], None] = lambda: None
) -> Lumens:
    """The holes of a mask with a side above `small_px`.

    Memory is a block, and some numbers for each region that reaches a block's rim.
    """
    unions = Unions()
    lines = _Lines(np.zeros(0, np.int64), np.full(image.width, -1))
    for y in range(0, image.height, block_px):
        for x in range(0, image.width, block_px):
            check()
            _take_block(read_classes, image, Box(x, y, block_px, block_px).intersect(image), unions, lines)
    holes = {}
    for (x, y), (regions, pieces) in lines.pieces.items():
        large = [not unions.marks[unions.root(p)] and unions.side(p) > small_px for p in pieces.tolist()]
        if any(large):
            holes[x // block_px, y // block_px] = regions[np.array(large)]
    return Lumens(read_classes, image, block_px, holes)


def _take_block(read_classes: ReadClasses, image: Box, block: Box, unions: Unions, lines: _Lines) -> None:
    regions = _regions(read_classes(block), block)
    rims = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    at_edge = (block.y == 0, block.bottom == image.height, block.x == 0, block.right == image.width)
    outside = {number for rim, edge in zip(rims, at_edge, strict=True) if edge for number in np.unique(rim).tolist()}
    touching = np.unique(np.concatenate(rims))
    touching = touching[touching > 0]
    boxes = ndimage.find_objects(regions)
    pieces = np.full(int(regions.max(initial=0)) + 1, -1)
    for number in touching.tolist():
        rows, columns = boxes[number - 1]
        box = (block.x + columns.start, block.y + rows.start, block.x + columns.stop - 1, block.y + rows.stop - 1)
        pieces[number] = unions.add(box, marked=number in outside)
    upper = slice(block.x, block.right)
    if block.y:
        unions.join_along(lines.below[upper], pieces[regions[0]])
    if block.x:
        unions.join_along(lines.right, pieces[regions[:, 0]])
    lines.below[upper], lines.right = pieces[regions[-1]], pieces[regions[:, -1]]
    lines.pieces[block.x, block.y] = (touching, pieces[touching])


def _regions(classes: Bytes | None, block: Box) -> Labels:
    """int32 (h, w): the regions of what is no cell's pixel, by sides, from 1 on."""
    if classes is None:
        return np.ones((block.height, block.width), np.int32)
    labels: Labels = ndimage.label(classes == UNKNOWN)[0]
    return labels
