"""One level of a pyramid as a grid of tiles that are decoded when a box needs them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from workers.geometry import Box
from workers.slides.slide import RGB
from workers.slides.tile_cache import TileCache

WHITE = 255
REACH_BACK_PX = 256
"""How far above the end of a box the row of boxes below it may start: twice the halo of a network, and some more."""


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of a level lie: row by row from the origin of the scanned image."""

    image: Box
    """The scanned image in px of the level; the level is white around it."""
    tile_width_px: int
    tile_height_px: int

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.image.width // self.tile_width_px)

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.image.height // self.tile_height_px)

    def tiles_of(self, box: Box) -> Iterator[tuple[int, int, int]]:
        """Index and place (left, top in level px) of each tile that meets `box`."""
        part = box.intersect(self.image)
        if part.is_empty:
            return
        left, top = part.x - self.image.x, part.y - self.image.y
        columns = range(left // self.tile_width_px, (left + part.width - 1) // self.tile_width_px + 1)
        for row in range(top // self.tile_height_px, (top + part.height - 1) // self.tile_height_px + 1):
            y = self.image.y + row * self.tile_height_px
            for column in columns:
                yield row * self.columns + column, self.image.x + column * self.tile_width_px, y


class TiledLevel:
    """Pixels of a level whose tiles `decode` makes (None: the file holds no such tile); the cache is shared."""

    def __init__(self, index: int, grid: TileGrid, decode: Callable[[int], RGB | None], cache: TileCache) -> None:
        self.index = index
        self.grid = grid
        self._decode = decode
        self._cache = cache
        self._blank = np.full((1, 1, 3), WHITE, np.uint8)

    def tile(self, number: int, wanted_again: bool = False) -> RGB:
        """Decoded tile `number`; 1x1 px of white, to be broadcast, where the file holds none."""
        return self._cache.get((self.index, number), lambda: self._make(number), wanted_again)

    def _make(self, number: int) -> RGB:
        tile = self._decode(number)
        return self._blank if tile is None else tile

    def decode_some(self) -> None:
        """Decode the first, middle and last tile: a file that cannot be decoded is refused when it is opened."""
        last = self.grid.columns * self.grid.rows - 1
        for number in sorted({0, last // 2, last}):
            self.tile(number)

    def tiles_of(self, box: Box) -> Iterator[tuple[int, tuple[int, int], bool]]:
        """Index and place of each tile that meets `box`, and whether the boxes below this one may want it again."""
        for number, left, top in self.grid.tiles_of(box):
            yield number, (left, top), top + self.grid.tile_height_px > box.bottom - REACH_BACK_PX

    def read(self, box: Box) -> RGB:
        """The pixels of `box` (level px), white outside of the image; always a fresh array."""
        grid = self.grid
        if grid.image.contains(box):
            out = np.empty((box.height, box.width, 3), np.uint8)
        else:
            out = np.full((box.height, box.width, 3), WHITE, np.uint8)
        right, bottom = min(box.right, grid.image.right), min(box.bottom, grid.image.bottom)
        for number, (left, top), wanted_again in self.tiles_of(box):
            tile = self.tile(number, wanted_again)
            x0, x1 = max(left, box.x), min(left + grid.tile_width_px, right)
            y0, y1 = max(top, box.y), min(top + grid.tile_height_px, bottom)
            pixels = tile if tile is self._blank else tile[y0 - top : y1 - top, x0 - left : x1 - left]
            out[y0 - box.y : y1 - box.y, x0 - box.x : x1 - box.x] = pixels
        return out
