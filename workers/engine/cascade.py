"""The cascade: a cheap look for dark discs first, so that the network computes only the cells where one may be.

A cell of the plan stays where the disc of a candidate touches it. Candidates are the local minima of smoothed intensity
on a coarse frame. The paper's suppression of those near a darker one is left out: it thins a list of patches, but what
it takes away is dark tissue all the same. Without it a candidate depends on the pixels around it alone, so neither
blocks nor regions nor the order of anything show in which cells stay.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.manifest import Manifest
from models.measures_spec import PointsMeasure
from workers.engine.progress import Event, Report
from workers.engine.stream import StoppedError
from workers.geometry import Box, Frame
from workers.measures.candidates import DarkDiscs, window_minima
from workers.plan import Grid
from workers.slides import Slide, frame_mpp, frame_size

Cells = NDArray[np.bool_]
LOOK_MPP = 1.0
"""About so fine is the look: a mitotic figure has some 8 px across."""
SMOOTH_UM = 1.0
"""Spread of the Gaussian before minima are sought, as in training."""
BLOCK_PX = 512


@dataclass(frozen=True, eq=False)
class Look:
    """What a cascade looks at, and how."""

    slide: Slide
    frame: Frame
    grid: Grid
    readers: int
    report: Report
    stop: threading.Event


@dataclass(frozen=True)
class Rule:
    """A candidate of one measure: how large its disc is, and how dark its middle."""

    diameter_um: float
    threshold: float


def cascade_rules(manifest: Manifest) -> tuple[Rule, ...]:
    """The rules of a package's measures; one that counts points alone has one each."""
    return tuple(
        Rule(measure.cascade_diameter_um, measure.cascade_threshold)
        for measure in manifest.measures
        if isinstance(measure, PointsMeasure) and measure.cascade_threshold is not None
    )


def cells_with_candidates(look: Look, rules: Sequence[Rule], analysed: Cells, tissue: Cells) -> Cells:
    """Those of the analysed cells that the disc of a candidate touches.

    Memory is a few blocks and the cells.

    Parameters
    ----------
    analysed, tissue
        bool (rows, columns) of the plan's cells: those to choose from, and all that a candidate may lie in.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section IV.A.

    Raises
    ------
    StoppedError
        `look.stop` was set.
    """
    mpp = frame_mpp(look.slide.info, max(LOOK_MPP, look.frame.mpp))
    cell = look.grid.cell_px * look.frame.mpp / mpp
    discs = [DarkDiscs(rule.diameter_um / mpp, rule.threshold, SMOOTH_UM / mpp) for rule in rules]
    # A candidate just outside of what is analysed may reach into it.
    around = 1 + int(max(disc.diameter_px for disc in discs) / 2 / cell)
    near = tissue & np.asarray(ndimage.maximum_filter(analysed, 2 * around + 1, mode="constant"))
    blocks = [block for block in _blocks(frame_size(look.slide.info, mpp)) if near[_cells_of(block, cell)].any()]
    touched = np.zeros_like(analysed)
    for done, (block, pixels, margin) in enumerate(_read_ahead(look, blocks, mpp, max(d.margin_px for d in discs))):
        for disc in discs:
            found = window_minima(pixels, (block.x - margin, block.y - margin), block, disc)
            middles = np.stack((found.x, found.y)).astype(np.float64) + 0.5
            _touch(touched, near, middles, disc.diameter_px / 2, cell)
        look.report(Event("candidates", done + 1, len(blocks)))
    return touched & analysed


def _blocks(size: tuple[int, int]) -> Iterator[Box]:
    for y in range(0, size[1], BLOCK_PX):
        for x in range(0, size[0], BLOCK_PX):
            yield Box(x, y, min(BLOCK_PX, size[0] - x), min(BLOCK_PX, size[1] - y))


def _cells_of(block: Box, cell: float) -> tuple[slice, slice]:
    return (
        slice(int(block.y / cell), int(block.bottom / cell) + 1),
        slice(int(block.x / cell), int(block.right / cell) + 1),
    )


def _read_ahead(
    look: Look, blocks: Sequence[Box], mpp: float, margin: int
) -> Iterator[tuple[Box, NDArray[np.uint8], int]]:
    """Each block with its pixels and a margin around them, in order."""
    with ThreadPoolExecutor(look.readers, "looker") as readers:
        pending: deque[tuple[Box, Future[NDArray[np.uint8]]]] = deque()
        for block in blocks:
            if look.stop.is_set():
                raise StoppedError("The run was stopped.", "Start it again with the same arguments to go on.")
            pending.append((block, readers.submit(look.slide.read, block.grow(margin), mpp)))
            if len(pending) > look.readers:
                ready, future = pending.popleft()
                yield ready, future.result(), margin
        while pending:
            ready, future = pending.popleft()
            yield ready, future.result(), margin


def _touch(touched: Cells, near: Cells, middles: NDArray[np.float64], radius: float, cell: float) -> None:
    """Mark the cells that a disc around any of the middles (2, n) touches; those outside of `near` count for nothing.

    A disc reaches so many cells at most that each neighbour is asked for: how far is its nearest place?
    """
    x, y = middles / cell
    columns, rows = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    inside = near[np.minimum(rows, near.shape[0] - 1), np.minimum(columns, near.shape[1] - 1)]
    x, y, columns, rows = x[inside], y[inside], columns[inside], rows[inside]
    reach = radius / cell
    steps = range(-int(reach) - 1, int(reach) + 2)
    for down in steps:
        for right in steps:
            away_x, away_y = _gap(x, columns + right), _gap(y, rows + down)
            hit = away_x**2 + away_y**2 <= reach**2
            hit_rows, hit_columns = rows[hit] + down, columns[hit] + right
            fits = (hit_rows >= 0) & (hit_rows < touched.shape[0])
            fits &= (hit_columns >= 0) & (hit_columns < touched.shape[1])
            touched[hit_rows[fits], hit_columns[fits]] = True


def _gap(place: NDArray[np.float64], cell: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far each place is from its cell, in cells; 0 inside."""
    return np.maximum(0.0, np.maximum(cell - place, place - cell - 1))
