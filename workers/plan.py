"""The plan of a run: which tiles are read, what each keeps, and which bands own which output shards.

Three grids, all anchored at the frame's origin:

* *cells* (`cell_px`, about 128 px) say where tissue is; what is written never depends on anything finer or coarser;
* *shards* (`shard_px`, about 2048 px) are the files of the output maps; a band owns whole shards, so that two workers
  never share a file;
* *tiles* (`tile_px`, the network's choice) are cut by the shards; each keeps its part of the tissue and is read with
  a halo around it, always at the same size and always on the network's stride grid. Clamped tiles do not begin a halo
  outside of the frame: they lie from its corner on, and the last ones are moved back to its end.

The kept boxes partition what is computed (the tissue; with clamped tiles all): exactly one tile keeps each pixel.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.manifest import GridSpec, OutputSpec
from workers.clamped import Span, clamped_spans
from workers.geometry import Box, Frame, round_up

SHARD_PX = 2048
CELL_PX = 128
MIN_SHARD_MAP_PX = 64
"""A shard of a coarse map holds at least this many map pixels on a side: no millions of tiny files."""
CLAMPED_SHARD_PX = 3072
"""Clamped tiles do not end where shards do. A process that has one of the shards holds the strip that the other needs
(`workers.engine.lips`), else the tile is computed anew for each: fewer in larger shards."""
BAND_SHARDS = 1
"""A band holds at most the tissue of this many full shards: one, or several sparse ones."""


@dataclass(frozen=True)
class Tile:
    """A unit of computation, in frame px."""

    read: Box
    keep: Box
    """Of the shard at hand."""
    whole: Box
    """What it keeps over all shards, tissue or not."""


@dataclass(frozen=True)
class Band:
    """A unit of checkpoint, retry and sharing: consecutive shards, row by row."""

    index: int
    shards: tuple[tuple[int, int], ...]
    """(column, row) of each shard that holds tissue."""
    tissue_px: int
    """Tissue pixels of the frame in the band."""


@dataclass(frozen=True)
class Grid:
    """The sizes a plan is made of, all in frame px."""

    tile_px: int
    halo_px: int
    align_px: int
    cell_px: int
    shard_px: int
    origin_x: int = 0
    origin_y: int = 0
    """Where the tile grid begins; results do not depend on it."""
    is_clamped: bool = False
    """Tiles lie from the frame's corner on, the last ones moved back to its end; the origin plays no part."""

    @property
    def read_px(self) -> int:
        """Side of the box a tile is read with."""
        return self.tile_px + 2 * self.halo_px


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is decided before the first pixel is computed."""

    frame: Frame
    grid: Grid
    cells: NDArray[np.bool_]
    """Cells that are computed, (rows, columns): those of tissue, or all where tiles are clamped."""
    bands: tuple[Band, ...]
    tissue: NDArray[np.bool_]
    """All tissue cells of the slide: what is fitted once per slide is fitted on these, whatever is analysed."""
    analysed: NDArray[np.bool_]
    """Tissue cells that areas are of: those that are computed, and what a cascade spared the network."""

    @property
    def tissue_px(self) -> int:
        """Tissue pixels that are analysed."""
        return _count_tissue(self, aligned_box(self.frame, self.grid.align_px), self.analysed)

    @property
    def computed_px(self) -> int:
        """Of these, the pixels that are computed: over all bands."""
        return sum(band.tissue_px for band in self.bands)

    def shard_box(self, column: int, row: int) -> Box:
        """The frame px a shard owns; the last ones reach to the stride grid behind the frame's edge."""
        side = self.grid.shard_px
        return Box(column * side, row * side, side, side).intersect(aligned_box(self.frame, self.grid.align_px))

    def shard_tiles(self, column: int, row: int) -> Iterator[Tile]:
        """The tiles of one shard, row by row."""
        shard, side = self.shard_box(column, row), self.grid.read_px
        frame = aligned_box(self.frame, self.grid.align_px)
        for down in self._spans(1, shard.y, shard.bottom):
            for along in self._spans(0, shard.x, shard.right):
                square = Box(along.first, down.first, along.stop - along.first, down.stop - down.first)
                keep = self.tissue_bounds(square.intersect(shard))
                if not keep.is_empty:
                    yield Tile(Box(along.start, down.start, side, side), keep, square.intersect(frame))

    def tile_parts(self, tile: Tile) -> Iterator[tuple[tuple[int, int], Tile]]:
        """((shard column, shard row), tile) of each shard that keeps some of a tile, in the order of the plan."""
        side = self.grid.shard_px
        for row in range(tile.whole.y // side, -(-tile.whole.bottom // side)):
            for column in range(tile.whole.x // side, -(-tile.whole.right // side)):
                keep = self.tissue_bounds(tile.whole.intersect(self.shard_box(column, row)))
                if not keep.is_empty:
                    yield (column, row), replace(tile, keep=keep)

    def tile_lines(self, axis: int, start: int, stop: int) -> list[int]:
        """Columns (axis 0) or rows (axis 1) strictly inside [start, stop) at which what a tile keeps begins."""
        return [span.first for span in self._spans(axis, start, stop) if span.first > start]

    def _spans(self, axis: int, start: int, stop: int) -> list[Span]:
        """Tiles along an axis that keep something of [start, stop)."""
        grid = self.grid
        if grid.is_clamped:
            length = (self.frame.width_px, self.frame.height_px)[axis]
            spans = clamped_spans(length, grid.read_px, grid.halo_px)
            return [span for span in spans if span.first < stop and start < span.stop]
        places = _grid_starts(start, stop, grid.tile_px, (grid.origin_x, grid.origin_y)[axis])
        return [Span(place - grid.halo_px, place, place + grid.tile_px) for place in places]

    def band_tiles(self, band: Band) -> Iterator[tuple[tuple[int, int], Tile]]:
        """((shard column, shard row), tile) of a band, shard by shard."""
        for shard in band.shards:
            for tile in self.shard_tiles(*shard):
                yield shard, tile

    def count_tiles(self) -> int:
        """Number of tiles the plan reads."""
        return sum(1 for band in self.bands for _ in self.band_tiles(band))

    def tissue_bounds(self, box: Box) -> Box:
        """The smallest part of `box` that holds all its tissue; empty where it holds none."""
        rows, columns, cells = self._cells_of(box, self.cells)
        if not cells.any():
            return Box(box.x, box.y, 0, 0)
        hit_rows, hit_columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
        side = self.grid.cell_px
        x, y = (columns + int(hit_columns[0])) * side, (rows + int(hit_rows[0])) * side
        right, bottom = (columns + int(hit_columns[-1]) + 1) * side, (rows + int(hit_rows[-1]) + 1) * side
        return Box(x, y, right - x, bottom - y).intersect(box)

    def is_all_tissue(self, box: Box) -> bool:
        """True where every pixel of the box is tissue."""
        return bool(self._cells_of(box, self.cells)[2].all())

    def tissue_pixels(self, box: Box, stride_px: int = 1) -> NDArray[np.bool_]:
        """Which map pixels of `box` are tissue, (box.height / stride, box.width / stride)."""
        rows, columns, cells = self._cells_of(box, self.cells)
        side = self.grid.cell_px
        ys = (np.arange(box.y, box.bottom, stride_px) // side) - rows
        xs = (np.arange(box.x, box.right, stride_px) // side) - columns
        return cells[np.ix_(ys, xs)]

    def _cells_of(self, box: Box, cells: NDArray[np.bool_]) -> tuple[int, int, NDArray[np.bool_]]:
        side = self.grid.cell_px
        top, left = box.y // side, box.x // side
        return top, left, cells[top : -(-box.bottom // side), left : -(-box.right // side)]


def aligned_box(frame: Frame, align_px: int) -> Box:
    """The frame's box, its right and lower side moved out to the stride grid."""
    return Box(0, 0, round_up(frame.width_px, align_px), round_up(frame.height_px, align_px))


def choose_grid(spec: GridSpec, outputs: tuple[OutputSpec, ...], tile_px: int | None = None) -> Grid:
    """The grid a package runs on; `tile_px` overrides its tile where the network is not bound to one size.

    Raises
    ------
    ValueError
        The tile is not on the network's stride grid, or the network runs at one size only.
    """
    tile = tile_px or spec.tile_px
    if tile % spec.align_px or tile <= 0:
        raise ValueError(f"tile {tile} px is not a multiple of the network's stride grid of {spec.align_px} px")
    if spec.fixed_tile and tile != spec.tile_px:
        raise ValueError(f"this network runs with tiles of {spec.tile_px} px only, not {tile}")
    coarsest = max(output.stride_px for output in outputs)
    is_clamped = spec.placement == "clamped"
    shard = round_up(max(SHARD_PX, MIN_SHARD_MAP_PX * coarsest), spec.align_px)
    return Grid(
        tile_px=tile,
        halo_px=spec.halo_px,
        align_px=spec.align_px,
        cell_px=round_up(CELL_PX, spec.align_px),
        shard_px=round_up(CLAMPED_SHARD_PX, tile) if is_clamped else shard,
        is_clamped=is_clamped,
    )


def make_plan(frame: Frame, grid: Grid, cells: NDArray[np.bool_], tissue: NDArray[np.bool_] | None = None) -> Plan:
    """The plan for a frame whose tissue is given on the grid's cells.

    Parameters
    ----------
    cells
        bool, (rows, columns) of `cell_shape(frame, grid)`: those to be computed; their tissue is what is analysed.
    tissue
        As `cells`, all of the slide's tissue; None where it is the cells.
    """
    if cells.shape != cell_shape(frame, grid):
        raise ValueError(f"tissue cells have shape {cells.shape}, the grid has {cell_shape(frame, grid)}")
    tissue = cells if tissue is None else tissue
    bare = Plan(frame=frame, grid=grid, cells=cells, bands=(), tissue=tissue, analysed=cells & tissue)
    return replace(bare, bands=tuple(_bands(bare)))


def spare_cells(plan: Plan, cells: NDArray[np.bool_]) -> Plan:
    """The plan that computes `cells` alone, of those it has; what it is asked to analyse stays as it is."""
    bare = replace(plan, cells=cells & plan.cells, bands=())
    return replace(bare, bands=tuple(_bands(bare)))


def cell_shape(frame: Frame, grid: Grid) -> tuple[int, int]:
    """(rows, columns) of the tissue cells that cover the frame."""
    box = aligned_box(frame, grid.align_px)
    return -(-box.height // grid.cell_px), -(-box.width // grid.cell_px)


def _bands(plan: Plan) -> Iterator[Band]:
    limit = BAND_SHARDS * plan.grid.shard_px**2
    box = aligned_box(plan.frame, plan.grid.align_px)
    rows, columns = math.ceil(box.height / plan.grid.shard_px), math.ceil(box.width / plan.grid.shard_px)
    index, tissue = 0, 0
    shards: list[tuple[int, int]] = []
    for row in range(rows):
        for column in range(columns):
            found = _count_tissue(plan, plan.shard_box(column, row), plan.cells)
            if found and shards and tissue + found > limit:
                yield Band(index=index, shards=tuple(shards), tissue_px=tissue)
                index, shards, tissue = index + 1, [], 0
            if found:
                shards.append((column, row))
                tissue += found
    if shards:
        yield Band(index=index, shards=tuple(shards), tissue_px=tissue)


def _count_tissue(plan: Plan, box: Box, cells: NDArray[np.bool_]) -> int:
    """Tissue pixels in a box, without making the pixels."""
    top, left, cells = plan._cells_of(box, cells)
    heights = _cell_lengths(box.y, box.bottom, top, cells.shape[0], plan.grid.cell_px)
    widths = _cell_lengths(box.x, box.right, left, cells.shape[1], plan.grid.cell_px)
    return int(heights @ cells.astype(np.int64) @ widths)


def _cell_lengths(start: int, stop: int, first: int, count: int, side: int) -> NDArray[np.int64]:
    edges = np.arange(first, first + count + 1, dtype=np.int64) * side
    clipped = np.clip(edges, start, stop)
    return clipped[1:] - clipped[:-1]


def _grid_starts(start: int, stop: int, step: int, origin: int) -> range:
    """Grid lines whose tile meets [start, stop)."""
    first = origin + (start - origin) // step * step
    return range(first, stop, step)
