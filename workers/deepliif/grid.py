"""DeepLIIF's own grid: tiles of one size whose borders are thrown away, empty ones answered flat, no blending.

Each tile is normalised by its own statistics inside of the networks, so the answer depends on where the tiles lie. To
give the same pixels, the tiles must lie at the same places.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.clamped import clamped_starts
from workers.geometry import Box

Rgb = NDArray[np.uint8]
Floats = NDArray[np.float32]
Infer = Callable[[Floats], Mapping[str, Floats]]
"""One tile, float32 (1, 3, scale, scale) in -1..1, to its outputs in the same shape and range."""
Colour = tuple[int, int, int]

EMPTY_VARIANCE = 9
"""A tile whose luma varies less than this holds no tissue."""
BORDER_PART = 16
"""A tile's border, which is dropped, is its side divided by this."""


@dataclass(frozen=True)
class GridOptions:
    """What the grid depends on."""

    backgrounds: tuple[tuple[str, Colour], ...]
    """Each output with the colour it has where a tile is empty; a mask's is black."""
    tile_px: int = 512
    """512 for 40x, 256 for 20x, 128 for 10x."""
    scale_px: int = 512
    """The side the networks want."""

    def __post_init__(self) -> None:
        """Refuse what no grid can be made of."""
        if self.tile_px < 1 or self.scale_px < 1:
            raise ValueError(f"tiles of {self.tile_px} px, scaled to {self.scale_px} px: give sides of 1 px or more")
        if not self.backgrounds or len(dict(self.backgrounds)) != len(self.backgrounds):
            raise ValueError("name each output once, with its colour where a tile is empty")


@dataclass(frozen=True)
class TileCount:
    """How many tiles DeepLIIF runs, and how many of them differ."""

    count: int
    distinct: int


@dataclass(frozen=True)
class CompatTile:
    """A tile, and the part of it that is written; both in px of the (extended) image."""

    read: Box
    keep: Box


def axis_starts(length_px: int, tile_px: int) -> tuple[int, ...]:
    """Where tiles begin along an axis, in the order they are run; the last place may stand there twice.

    Parameters
    ----------
    length_px
        Length of the axis; one shorter than a tile is extended to a tile first.
    """
    return clamped_starts(length_px, tile_px, tile_px // BORDER_PART)


def count_tiles(width_px: int, height_px: int, tile_px: int) -> TileCount:
    """How many tiles an image takes."""
    columns, rows = axis_starts(width_px, tile_px), axis_starts(height_px, tile_px)
    return TileCount(len(columns) * len(rows), len(set(columns)) * len(set(rows)))


def compat_tiles(width_px: int, height_px: int, tile_px: int) -> Iterator[CompatTile]:
    """The distinct tiles, row by row; where two write the same pixel, the later one is right."""
    for y in dict.fromkeys(axis_starts(height_px, tile_px)):
        top, bottom = _kept(y, height_px, tile_px)
        for x in dict.fromkeys(axis_starts(width_px, tile_px)):
            left, right = _kept(x, width_px, tile_px)
            yield CompatTile(Box(x, y, tile_px, tile_px), Box(left, top, right - left, bottom - top))


def extend(rgb: Rgb, tile_px: int) -> Rgb:
    """The image, mirrored to the right and downwards to at least one tile; the edge pixel is repeated."""
    rows, columns = (_mirrored(length, max(length, tile_px)) for length in rgb.shape[:2])
    return rgb if (len(rows), len(columns)) == rgb.shape[:2] else rgb[rows[:, None], columns]


def is_empty(tile: Rgb) -> bool:
    """Whether the luma of what is neither black nor white varies by less than `EMPTY_VARIANCE`, or nothing is left."""
    red, green, blue = (tile[..., channel].astype(np.int64) for channel in range(3))
    luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    counts = np.bincount(luma.ravel(), minlength=256)[1:255].astype(object)
    # In whole numbers of any size, so that a variance of exactly 9 is 9.
    values = np.arange(1, 255).astype(object)
    count, total, squares = int(counts.sum()), int(counts @ values), int(counts @ values**2)
    return count * squares - total**2 < EMPTY_VARIANCE * count**2 or not count


def resize(picture: Rgb, side_px: int) -> Rgb:
    """The picture as a square of another side: bicubic (a = -0.5), antialiased where it shrinks, 8 bits."""
    if picture.shape[:2] == (side_px, side_px):
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((side_px, side_px), Image.Resampling.BICUBIC))


def to_network(tile: Rgb) -> Floats:
    """The tile as float32 (1, 3, H, W) in -1..1."""
    scaled = tile.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((scaled - np.float32(0.5)) / np.float32(0.5)).transpose(2, 0, 1)[None])


def to_bytes(output: Floats) -> Rgb:
    """uint8 (H, W, 3) of an output in -1..1: scaled in float32, then cut off, not rounded."""
    scaled = (output[0].transpose(1, 2, 0) + np.float32(1)) / np.float32(2) * np.float32(255)
    cut: Rgb = np.clip(scaled, 0, 255).astype(np.uint8)
    return cut


def run_compat(rgb: Rgb, infer: Infer, options: GridOptions) -> dict[str, Rgb]:
    """Every output of the whole image, uint8 (H, W, 3), as DeepLIIF's tiles give it.

    Parameters
    ----------
    rgb
        uint8 (H, W, 3).
    infer
        Called once for every distinct tile that is not empty, row by row.

    Raises
    ------
    ValueError
        The image is no RGB picture, or an answer lacks an output or has another shape.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise ValueError(f"an image of {rgb.dtype} {rgb.shape} is no RGB picture: give uint8 (H, W, 3)")
    height, width = rgb.shape[:2]
    image = extend(rgb, options.tile_px)
    outputs = {name: np.zeros(image.shape, np.uint8) for name, _ in options.backgrounds}
    for tile in compat_tiles(width, height, options.tile_px):
        read, keep = tile.read, tile.keep
        answer = _answer(image[read.y : read.bottom, read.x : read.right], infer, options)
        inside = keep.shift(-read.x, -read.y)
        for name, output in outputs.items():
            part = answer[name][inside.y : inside.bottom, inside.x : inside.right]
            output[keep.y : keep.bottom, keep.x : keep.right] = part
    return {name: output[:height, :width] for name, output in outputs.items()}


def _answer(tile: Rgb, infer: Infer, options: GridOptions) -> dict[str, Rgb]:
    """The outputs of one tile, at the tile's size."""
    if is_empty(tile):
        return {name: np.broadcast_to(np.array(colour, np.uint8), tile.shape) for name, colour in options.backgrounds}
    scale = options.scale_px
    given = infer(to_network(resize(tile, scale)))
    answer = {}
    for name, _ in options.backgrounds:
        if name not in given or given[name].shape != (1, 3, scale, scale):
            shape = given[name].shape if name in given else None
            raise ValueError(f"output {name} of a tile has shape {shape}: it must be (1, 3, {scale}, {scale})")
        answer[name] = resize(to_bytes(given[name]), options.tile_px)
    return answer


def _border(length_px: int, tile_px: int) -> int:
    return tile_px // BORDER_PART if length_px > tile_px else 0


def _kept(start_px: int, length_px: int, tile_px: int) -> tuple[int, int]:
    """First and last + 1 pixel along an axis that the tile writes: no border is dropped at the image's own ends."""
    border = _border(length_px, tile_px)
    is_last = start_px == max(length_px, tile_px) - tile_px
    return start_px + (border if start_px else 0), start_px + tile_px - (0 if is_last else border)


def _mirrored(length_px: int, wanted_px: int) -> NDArray[np.int64]:
    """Index of the pixel to show at each place: there and back again, the ends twice."""
    place = np.arange(wanted_px) % (2 * length_px)
    shown: NDArray[np.int64] = np.where(place < length_px, place, 2 * length_px - 1 - place)
    return shown
