"""Slides to measure on, made once: phantoms, and large slides on which one piece of tissue lies several times."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from training.phantom.pyramid import encode_tile
from training.phantom.spec import PhantomSpec, Stain
from training.phantom.tiff import JPEG, TILE_PX, PageStyle, PyramidFile, tiles_across
from training.phantom.write import write_phantom

SIDE_UM = 2048.0
TISSUE = 0.5
PIECE_PX = 4096
"""Side of the piece that is laid out on large slides: it fills whole tiles on three levels."""
Place = tuple[int, int]


def phantom_for(folder: Path, stain: Literal["he", "ihc-dab", "any"], mpp: float) -> Path:
    """A phantom of about 2 mm2 of tissue, in H&E or in Ki-67 IHC."""
    ink: Stain = "ki67" if stain == "ihc-dab" else "he"
    side = round(SIDE_UM / mpp)
    path = folder / f"phantom-{ink}-{mpp:g}.tiff"
    if not path.exists():
        write_phantom(PhantomSpec(seed=5, width_px=side, height_px=side, mpp=mpp, tissue=TISSUE), {ink: path}, None, 2)
    return path


def piece(folder: Path, mpp: float) -> Path:
    """A phantom that is one piece of tissue with glass around it, `PIECE_PX` wide."""
    path = folder / f"piece-{mpp:g}.tiff"
    if not path.exists():
        spec = PhantomSpec(seed=3, width_px=PIECE_PX, height_px=PIECE_PX, mpp=mpp, tissue=TISSUE)
        write_phantom(spec, {"he": path}, None, 2)
    return path


def laid_out(source: Path, path: Path, side_px: int, places: Sequence[Place], mpp: float) -> Path:
    """A square slide of white glass with copies of the piece; its encoded tiles are pointed to, not copied.

    A slide of 10^10 px is made in seconds, and the tissue of two slides differs in nothing but how often it is there.

    Parameters
    ----------
    source
        A square pyramid; of its levels those are taken that it fills with whole tiles.
    side_px
        A multiple of the piece's.
    places
        (column, row) of each copy, in pieces.
    """
    part = path.with_suffix(".part")
    with tifffile.TiffFile(source) as tif:
        pages = [page for page in tif.pages if page.is_tiled and page.imagewidth % TILE_PX == 0]
        piece_px = pages[0].imagewidth
        if side_px % piece_px:
            raise ValueError(f"a side of {side_px} px is no multiple of {piece_px}")
        sides = [(side_px // piece_px * page.imagewidth, page.imagewidth) for page in pages]
        style = PageStyle(JPEG, mpp, f"Aperio-like phantom of histoserve|MPP = {mpp:g}|pieces = {len(places)}")
        file = PyramidFile(part, [(whole, whole) for whole, _ in sides], style)
        blank = encode_tile(_white(), "he", 80)
        for level, page in enumerate(pages):
            _lay_level(file, level, sides[level], _encoded(tif, page), set(places), blank)
    file.close(blank, (TILE_PX, TILE_PX))
    part.rename(path)
    return path


def spread(count: int, pieces_across: int) -> tuple[Place, ...]:
    """`count` places at even steps over a slide that is so many pieces wide."""
    everywhere = list(itertools.product(range(pieces_across), repeat=2))
    step = len(everywhere) / count
    chosen = [everywhere[int((index + 0.5) * step)] for index in range(count)]
    return tuple((column, row) for row, column in chosen)


def _lay_level(
    file: PyramidFile, level: int, sides: tuple[int, int], tiles: Sequence[bytes], places: set[Place], blank: bytes
) -> None:
    """One level; `sides` are those of the slide and of the piece on it."""
    across, inside = tiles_across(sides[0]), sides[1] // TILE_PX
    for row, column in itertools.product(range(across), repeat=2):
        there = (column // inside, row // inside) in places
        data = tiles[row % inside * inside + column % inside] if there else blank
        file.write_tile(level, column, row, data, shared=True)


def _encoded(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> list[bytes]:
    tiles = []
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        tif.filehandle.seek(offset)
        tiles.append(tif.filehandle.read(length))
    return tiles


def _white() -> NDArray[np.uint8]:
    return np.full((TILE_PX, TILE_PX, 3), 244, np.uint8)
