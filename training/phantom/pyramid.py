"""Blocks into a pyramid while they are rendered: reduced strips move up level by level, nothing else is kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.phantom.block import BLOCK_PX
from training.phantom.spec import PhantomSpec, Stain
from training.phantom.tiff import DEFLATE, JPEG, TILE_PX, PageStyle, PyramidFile, tiles_across

RGB = NDArray[np.uint8]
REDUCE = 4
SMALLEST_PX = 512
MOST_LEVELS = 9


@dataclass(frozen=True)
class EncodedBlock:
    """One block of one stain, ready to be stored."""

    tiles: tuple[bytes, ...]
    """Row by row; TILE_PX each."""
    reduced: RGB
    """The block at a quarter of its size."""


def level_sizes(width_px: int, height_px: int) -> list[tuple[int, int]]:
    """Sizes of the levels, each a quarter of the one before, down to about a screen."""
    sizes = [(width_px, height_px)]
    while max(sizes[-1]) > SMALLEST_PX and min(sizes[-1]) >= REDUCE and len(sizes) < MOST_LEVELS:
        sizes.append((sizes[-1][0] // REDUCE, sizes[-1][1] // REDUCE))
    return sizes


def encode_block(pixels: RGB, stain: Stain, quality: int) -> EncodedBlock:
    """The tiles of a block and its quarter."""
    starts = range(0, BLOCK_PX, TILE_PX)
    tiles = tuple(encode_tile(pixels[y : y + TILE_PX, x : x + TILE_PX], stain, quality) for y in starts for x in starts)
    return EncodedBlock(tiles, reduce(pixels, stain))


def encode_tile(pixels: RGB, stain: Stain, quality: int) -> bytes:
    """A tile as JPEG (4:2:0), or deflated without loss where its colours are classes."""
    import imagecodecs

    tile = np.ascontiguousarray(pixels)
    if stain == "mask":
        return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=6))
    return bytes(imagecodecs.jpeg8_encode(tile, level=quality, subsampling="420"))


def reduce(pixels: RGB, stain: Stain) -> RGB:
    """A quarter of the size: means of 4 x 4 px; of classes, every fourth pixel."""
    height, width = pixels.shape[0] // REDUCE, pixels.shape[1] // REDUCE
    if stain == "mask":
        return np.ascontiguousarray(pixels[REDUCE // 2 :: REDUCE, REDUCE // 2 :: REDUCE][:height, :width])
    whole = pixels[: height * REDUCE, : width * REDUCE].astype(np.uint16)
    rows = whole.reshape(height, REDUCE, -1).sum(axis=1, dtype=np.uint16)
    sums = rows.reshape(height, width, REDUCE, 3).sum(axis=2, dtype=np.uint16)
    means: RGB = ((sums + REDUCE * REDUCE // 2) // (REDUCE * REDUCE)).astype(np.uint8)
    return means


class PyramidSink:
    """Takes the blocks of one stain row by row and keeps one strip of a tile's height per level.

    Invariant: a strip holds `filled` rows of its level since its last row of tiles was stored, and is glass wherever no
    `touched` tile lies.
    """

    def __init__(self, path: Path, spec: PhantomSpec, stain: Stain, glass: RGB) -> None:
        self._sizes = level_sizes(spec.width_px, spec.height_px)
        style = PageStyle(DEFLATE if stain == "mask" else JPEG, spec.mpp, describe(spec, stain))
        self._file = PyramidFile(path, self._sizes, style)
        self._stain, self._quality, self._glass = stain, spec.quality, glass
        plain = np.broadcast_to(glass, (TILE_PX, TILE_PX, 3))
        self._blank = encode_tile(plain, stain, spec.quality)
        self._strips = [self._empty(level) for level in range(1, len(self._sizes))]
        self._filled = [0] * len(self._strips)
        self._touched: list[set[int]] = [set() for _ in self._strips]
        self._rows = [0] * len(self._strips)
        width, height = self._sizes[-1]
        self._thumbnail = np.broadcast_to(glass, (height, width, 3)).copy()

    def add_block(self, column: int, row: int, block: EncodedBlock | None) -> None:
        """Store a block of level 0; None is bare glass."""
        side = BLOCK_PX // TILE_PX
        width, height = self._sizes[0]
        for n in range(side * side):
            x, y = column * side + n % side, row * side + n // side
            if x < tiles_across(width) and y < tiles_across(height):
                self._file.write_tile(0, x, y, block.tiles[n] if block else self._blank, shared=block is None)
        if block is not None and not self._strips:
            self._see(block.reduced, row * (BLOCK_PX // REDUCE), column * (BLOCK_PX // REDUCE))
        if block is not None and self._strips:
            size = BLOCK_PX // REDUCE
            strip = self._strips[0][self._filled[0] : self._filled[0] + size, column * size : (column + 1) * size]
            strip[:] = block.reduced
            self._touched[0].add(column * size // TILE_PX)

    def end_row(self) -> None:
        """All blocks of a row were added."""
        self._advance(0, BLOCK_PX // REDUCE)

    def close(self) -> None:
        """Store what the strips still hold, and the pages."""
        for n in range(len(self._strips)):
            if self._filled[n]:
                self._store(n)
        self._file.close(encode_tile(self._thumbnail, self._stain, self._quality), self._thumbnail.shape[1::-1])

    def abandon(self) -> None:
        """Let go of the file, which is no slide yet."""
        self._file.abandon()

    def _empty(self, level: int) -> RGB:
        columns = tiles_across(self._sizes[level][0]) + REDUCE
        return np.broadcast_to(self._glass, (TILE_PX, columns * TILE_PX, 3)).copy()

    def _advance(self, n: int, rows: int) -> None:
        if n < len(self._strips):
            self._filled[n] += rows
            if self._filled[n] >= TILE_PX:
                self._store(n)

    def _store(self, n: int) -> None:
        """Write the strip as a row of tiles and hand its quarter to the next level."""
        strip, level, row = self._strips[n], n + 1, self._rows[n]
        width, height = self._sizes[level]
        if row < tiles_across(height):
            for column in range(tiles_across(width)):
                shown = column in self._touched[n]
                tile = strip[:, column * TILE_PX : (column + 1) * TILE_PX]
                data = encode_tile(tile, self._stain, self._quality) if shown else self._blank
                self._file.write_tile(level, column, row, data, shared=not shown)
        if level == len(self._strips):
            self._see(strip, row * TILE_PX, 0)
        else:
            self._hand_on(n)
            self._advance(n + 1, TILE_PX // REDUCE)
        for column in self._touched[n]:
            strip[:, column * TILE_PX : (column + 1) * TILE_PX] = self._glass
        self._touched[n] = set()
        self._rows[n], self._filled[n] = row + 1, 0

    def _hand_on(self, n: int) -> None:
        """The quarter of what was drawn on a strip, into the next level's; glass is there already."""
        upper, start, size = self._strips[n + 1], self._filled[n + 1], TILE_PX // REDUCE
        for column in self._touched[n]:
            small = reduce(self._strips[n][:, column * TILE_PX : (column + 1) * TILE_PX], self._stain)
            upper[start : start + size, column * size : (column + 1) * size] = small
            self._touched[n + 1].add(column // REDUCE)

    def _see(self, pixels: RGB, y: int, x: int) -> None:
        """Keep a part of the smallest level for the thumbnail."""
        there = self._thumbnail[y : y + pixels.shape[0], x : x + pixels.shape[1]]
        there[:] = pixels[: there.shape[0], : there.shape[1]]


def describe(spec: PhantomSpec, stain: Stain) -> str:
    """The first page's description: laid out as Aperio's, so that readers find mpp and objective power."""
    power = 10.0 / spec.mpp
    size = f"{spec.width_px}x{spec.height_px}"
    method = "Deflate/RGB" if stain == "mask" else f"JPEG/RGB Q={spec.quality}"
    return (
        f"Aperio compatible slide made by histoserve phantom, not scanned\n{size} [0,0 {size}] "
        f"({TILE_PX}x{TILE_PX}) {method}|AppMag = {power:.4g}|MPP = {spec.mpp:.6g}"
        f"|Phantom stain = {stain}|Phantom seed = {spec.seed}|Phantom digest = {spec.digest()}"
    )
