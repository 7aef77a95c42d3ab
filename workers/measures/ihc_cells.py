"""Cells of an IHC mask as a stream: those that DeepLIIF's rules find in the whole mask at once, window by window.

The mask is worked on in blocks. Each is read with a margin as wide as the largest cell, and a cell belongs to the block
that holds its centre (DeepLIIF's: the mean of its pixels, rounded): none is cut, none is there twice. What is wider or
higher than `LARGEST_PX` is no cell; such components are followed over all blocks and counted once.

Blocks row by row, and in a block by the first pixel: that is the order of the cells.

References
----------
Ghahremani et al., doi:10.1038/s42256-022-00471-x (the rules).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.deepliif.cells import (
    POSITIVE,
    Bytes,
    Cells,
    Labels,
    Mask,
    brightest,
    classify_pixels,
    fill_holes,
    label_cells,
    measure_cells,
)
from workers.deepliif.thresholds import Thresholds
from workers.geometry import Box, round_down
from workers.measures.cell_means import mean_stains
from workers.measures.cell_outlines import outline_cells
from workers.measures.lumens import Lumens, ReadClasses, find_lumens
from workers.measures.unions import Unions

BLOCK_PX = 2048
LARGEST_PX = 256
"""Longest side of a cell: 64 um where a pixel has 0.25 um."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ReadPixels = Callable[[Box], Bytes | None]
"""uint8 (h, w, 3) of a box of the map; None where nothing was analysed."""


@dataclass(frozen=True)
class IhcPictures:
    """What cells are found and measured on, of one size."""

    mask: ReadPixels
    """Red positive, blue negative, green boundary; what was not analysed is black."""
    marker: ReadPixels | None = None
    slide: ReadPixels | None = None
    """The stained slide."""


@dataclass(frozen=True, eq=False)
class FoundCells:
    """Cells of one block, one row each, in px of the map: pixel i covers [i, i + 1)."""

    x: Floats
    y: Floats
    """The middle of the cell's pixels."""
    size_px: Ints
    """All pixels, holes included."""
    positive_px: Ints
    negative_px: Ints
    marker: Ints | None
    """The brightest."""
    marker_mean: Floats | None
    od: Ints | None
    """DeepLIIF's optical density: all three channels together, in 1/100."""
    dab_od: Floats | None
    """Mean optical density of DAB, decadic."""
    starts: Ints
    """(n + 1,): outline i is `points[starts[i] : starts[i + 1]]`."""
    points: NDArray[np.int32]
    """(m, 2): corners (x, y) of pixels, clockwise as seen on the screen, not closed."""


@dataclass
class IhcTally:
    """What became of the components; complete when the stream ends."""

    found: int = 0
    noise: int = 0
    """So small that DeepLIIF does not look at them."""
    too_large: int = 0
    cells_px: int = 0
    """Pixels of all components."""
    too_large_px: int = 0
    """Of these, pixels of components that are no cells for their size."""


def stream_ihc_cells(
    pictures: IhcPictures,
    image: Box,
    thresholds: Thresholds,
    *,
    block_px: int = BLOCK_PX,
    largest_px: int = LARGEST_PX,
    tally: IhcTally | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[FoundCells]:
    """The cells of a mask, block by block; memory is a window, whatever the size of the mask.

    Parameters
    ----------
    image
        The whole map; begins at (0, 0).
    thresholds
        Only `seg`, `green` and `noise_px` matter here.
    largest_px
        What is wider or higher is no cell.
    check
        Called between blocks; raises where the work was asked to stop.
    """
    counts = tally or IhcTally()

    def read_classes(box: Box) -> Bytes | None:
        seg = pictures.mask(box)
        return None if seg is None else classify_pixels(seg, thresholds)

    lumens = find_lumens(read_classes, image, block_px, largest_px, check)
    giants = _Giants(image)
    for y in range(0, image.height, block_px):
        for x in range(0, image.width, block_px):
            check()
            view = _look(read_classes, lumens, Box(x, y, block_px, block_px).intersect(image), largest_px)
            giants.take(view)
            if view.labels is not None and view.labels.any():
                found = _measure(view, pictures, thresholds, counts)
                if found is not None:
                    yield found
    counts.too_large += giants.count()
    counts.cells_px, counts.too_large_px = giants.cells_px, giants.giants_px


@dataclass(frozen=True, eq=False)
class _View:
    """A block and what its window shows."""

    block: Box
    window: Box
    image: Box
    classes: Bytes | None
    labels: Labels | None
    """None where nothing was analysed."""
    largest_px: int


def _look(read_classes: ReadClasses, lumens: Lumens, block: Box, largest_px: int) -> _View:
    image, margin = lumens.image, margin_of(largest_px)
    # At even places, so that means that end in a half are rounded as in the whole.
    left, top = (max(0, round_down(v - margin, 2)) for v in (block.x, block.y))
    window = Box(left, top, block.right + margin - left, block.bottom + margin - top).intersect(image)
    classes = read_classes(window)
    if classes is None or not classes.any():
        return _View(block, window, image, None, None, largest_px)
    hidden = lumens.mark(window)
    is_cell = fill_holes(classes if hidden is None else np.where(hidden, np.uint8(POSITIVE), classes))
    return _View(block, window, image, classes, label_cells(is_cell), largest_px)


def margin_of(largest_px: int) -> int:
    """What reaches over so many pixels from a block's rim is longer than a cell."""
    return largest_px + 2


class _Giants:
    """Components that are no cells for their size, followed from block to block by the pixels that two windows show."""

    def __init__(self, image: Box) -> None:
        self._sets = Unions()
        self._below = np.full((2, image.width), -1)
        self._right = np.full((0, 2), -1)
        self.cells_px, self.giants_px = 0, 0

    def take(self, view: _View) -> None:
        """Note the giants of a block; blocks come row by row."""
        block, image = view.block, view.image
        numbers = self._number(view)
        columns, rows = slice(block.x, block.right), (block.y, block.bottom)
        above, left = Box(block.x, rows[0] - 1, block.width, 2), Box(block.x - 1, rows[0], 2, block.height)
        if block.y:
            self._sets.join_along(self._below[:, columns].ravel(), _cut(numbers, view, above).ravel())
        if block.x:
            self._sets.join_along(self._right.ravel(), _cut(numbers, view, left).ravel())
        if block.bottom < image.height:
            self._below[:, columns] = _cut(numbers, view, Box(block.x, rows[1] - 1, block.width, 2))
        if block.right < image.width:
            self._right = _cut(numbers, view, Box(block.right - 1, rows[0], 2, block.height))

    def count(self) -> int:
        """How many there are."""
        sets = self._sets
        return sum(sets.marks[piece] for piece in range(len(sets.parents)) if sets.parents[piece] == piece)

    def _number(self, view: _View) -> Ints | None:
        """For each label of the window its number among the giants' pieces, -1 for cells; the block's are marked."""
        if view.labels is None:
            return None
        labels, window, block = view.labels, view.window, view.block
        near = Box(block.x - 1, block.y - 1, block.width + 2, block.height + 2).intersect(window)
        numbers = np.full(int(labels.max(initial=0)) + 1, -1)
        is_cut = set()
        for edge, rim in _inner_rims(labels, view):
            is_cut |= set(np.unique(rim).tolist()) if edge else set()
        sizes = np.bincount(_crop(labels, view, block).ravel(), minlength=len(numbers))
        owned = set(np.flatnonzero(sizes).tolist())
        shown = set(np.unique(_crop(labels, view, near)).tolist()) - {0}
        for number, box in enumerate(_boxes(labels), start=1):
            if number in shown and (number in is_cut or max(box[2] - box[0], box[3] - box[1]) >= view.largest_px):
                numbers[number] = self._sets.add(box, marked=number in owned)
        self.cells_px += int(sizes[1:].sum())
        self.giants_px += int(sizes[numbers >= 0].sum())
        return numbers


def _inner_rims(labels: Labels, view: _View) -> list[tuple[bool, Labels]]:
    """(whether the mask goes on behind it, labels along it) of each side of the window."""
    window, image = view.window, view.image
    return [
        (window.y > 0, labels[0]),
        (window.bottom < image.height, labels[-1]),
        (window.x > 0, labels[:, 0]),
        (window.right < image.width, labels[:, -1]),
    ]


def _boxes(labels: Labels) -> list[tuple[int, int, int, int]]:
    return [(c.start, r.start, c.stop - 1, r.stop - 1) for r, c in ndimage.find_objects(labels)]


def _crop(labels: Labels, view: _View, box: Box) -> Labels:
    here = box.shift(-view.window.x, -view.window.y)
    return labels[here.y : here.bottom, here.x : here.right]


def _cut(numbers: Ints | None, view: _View, box: Box) -> Ints:
    """Numbers of the giants' pieces in a box."""
    if numbers is None or view.labels is None:
        return np.full((box.height, box.width), -1)
    return numbers[_crop(view.labels, view, box)]


def _measure(view: _View, pictures: IhcPictures, thresholds: Thresholds, counts: IhcTally) -> FoundCells | None:
    """The cells whose centre is in the block, and which are neither noise nor giants."""
    if view.labels is None or view.classes is None:
        return None
    marker, slide = (None if read is None else read(view.window) for read in (pictures.marker, pictures.slide))
    marker = None if marker is None else brightest(marker)
    cells = measure_cells(view.labels, view.classes, marker, slide)
    mine = _owned(cells, view)
    counts.noise += int((mine & (cells.size_px <= thresholds.noise_px)).sum())
    kept = np.flatnonzero(mine & (cells.size_px > thresholds.noise_px))
    if not len(kept):
        return None
    counts.found += len(kept)
    return _rows(cells, kept, view, mean_stains(view.labels, kept, marker, slide))


def _owned(cells: Cells, view: _View) -> Mask:
    x, y = (cells.centre_px + np.array((view.window.x, view.window.y))).T
    block, boxes = view.block, cells.box_px
    inside = (x >= block.x) & (x < block.right) & (y >= block.y) & (y < block.bottom)
    small = (boxes[:, 2:] - boxes[:, :2] < view.largest_px).all(axis=1)
    return np.asarray(inside & small)


def _rows(cells: Cells, kept: Ints, view: _View, means: tuple[Floats | None, Floats | None]) -> FoundCells:
    corner = np.array((view.window.x, view.window.y))
    if cells.sum_px is None or view.labels is None:
        raise ValueError("the cells were measured without their places")
    size = cells.size_px[kept][:, None]
    # Whole numbers up to the division: the same to the last digit from any window.
    middle = (cells.sum_px[kept] + size * corner) / size + 0.5
    starts, points = outline_cells(view.labels, kept)
    return FoundCells(
        x=middle[:, 0],
        y=middle[:, 1],
        size_px=cells.size_px[kept],
        positive_px=cells.positive_px[kept],
        negative_px=cells.negative_px[kept],
        marker=None if cells.marker is None else cells.marker[kept],
        marker_mean=means[0],
        od=None if cells.od is None else cells.od[kept],
        dab_od=means[1],
        starts=starts,
        points=points + corner.astype(np.int32),
    )
