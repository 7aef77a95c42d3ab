"""A picture as a Deep Zoom image, for viewers in a browser: `NAME.dzi` and the JPEG tiles in `NAME_files`.

Tiles are cut from the stored pyramid, row by row; levels coarser than it are halved from its coarsest one. A tile whose
own area is blank has no file: the `DisplayRects` of the `.dzi` say which areas of the finest level have one, and a
coarser tile has one where it holds part of such an area. OpenSeadragon asks for no other tile. It takes every rectangle
for all levels up to its `MaxLevel`, so one list serves them all.

References
----------
Deep Zoom File Format Overview,
https://learn.microsoft.com/en-us/previous-versions/windows/silverlight/dotnet-windows-silverlight/cc645077(v=vs.95)
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box
from workers.outputs.colours import paint
from workers.outputs.files import make_folder, write_whole
from workers.outputs.maps import MapSpec, present_shards, read_box
from workers.outputs.marks import mark_text
from workers.outputs.place import Place
from workers.outputs.pyramid import halve
from workers.result import NOTICE

TILE_PX, BORDER_PX = 254, 1
"""A tile's own square, and how far it reaches into its neighbours: 256 px in all, as the format is mostly used."""
JPEG_QUALITY = 85
DZI_TILES = "_files"
"""How the name of a folder of tiles ends."""
XMLNS = "http://schemas.microsoft.com/deepzoom/2008"

Values = NDArray[np.uint8]
Flags = NDArray[np.bool_]
ReadLevel = Callable[[Box, int], Values]


def dzi_folder(path: Path) -> Path:
    """The folder of the tiles of a `.dzi`."""
    return path.with_name(f"{path.stem}{DZI_TILES}")


def write_dzi(folder: Path, spec: MapSpec, place: Place, path: Path, check: Callable[[], None] = lambda: None) -> None:
    """Write a map (with its pyramid) as a Deep Zoom image; the tiles appear when they are whole, then the `.dzi`.

    Memory is one row of tiles. Same map, same bytes.

    Parameters
    ----------
    check
        Called before each row of tiles; may raise to stop.

    Raises
    ------
    ValueError
        The map holds probabilities of several classes, which no single picture shows.
    """
    tiles, unfinished = dzi_folder(path), path.with_name(f".{path.stem}{DZI_TILES}.part")
    path.unlink(missing_ok=True)
    for old in (tiles, unfinished):
        shutil.rmtree(old, ignore_errors=True)
    read, note = _level_reader(folder, spec), _note(spec, place)
    finest = (max(spec.width_px, spec.height_px) - 1).bit_length()
    present = _write_finest(unfinished / str(finest), folder, spec, note, check)
    flags = present
    for step in range(1, finest + 1):
        flags = halve_flags(flags)
        _write_level(unfinished / str(finest - step), spec, read, step, flags, note, check)
    # Once for all: to make thousands of small files durable one by one takes minutes.
    os.sync()
    unfinished.replace(tiles)
    write_whole(path, _description(spec, present, finest, note).encode())


def remove_dzi(path: Path) -> None:
    """Remove a Deep Zoom image that an earlier run left."""
    path.unlink(missing_ok=True)
    shutil.rmtree(dzi_folder(path), ignore_errors=True)


def halve_flags(flags: Flags) -> Flags:
    """Which tiles of the next coarser level hold part of a flagged one."""
    rows, columns = flags.shape
    even = np.pad(flags, ((0, rows % 2), (0, columns % 2)))
    return np.asarray(even[0::2, 0::2] | even[0::2, 1::2] | even[1::2, 0::2] | even[1::2, 1::2])


def display_rects(flags: Flags) -> Iterator[Box]:
    """Boxes of flagged tiles, in tiles: runs of a row, those of equal reach in following rows as one."""
    open_runs: dict[tuple[int, int], int] = {}
    for row in range(len(flags) + 1):
        runs = _runs(flags[row]) if row < len(flags) else []
        for run in [run for run in open_runs if run not in runs]:
            top = open_runs.pop(run)
            yield Box(run[0], top, run[1] - run[0], row - top)
        for run in runs:
            open_runs.setdefault(run, row)


def _runs(row: Flags) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], row, [False]))))
    return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))


def _level_reader(folder: Path, spec: MapSpec) -> ReadLevel:
    """Reads a box of a level, counted from the finest; what lies behind the pyramid's end is made and kept."""
    last = spec.levels - 1
    made = [read_box(folder, spec, Box(0, 0, *spec.level_size(last)), last)]

    def read(box: Box, step: int) -> Values:
        if step <= last:
            return read_box(folder, spec, box, step)
        while len(made) <= step - last:
            made.append(halve(made[-1], spec.kind == "classes"))
        return made[step - last][..., box.y : box.bottom, box.x : box.right]

    return read


def _write_finest(level: Path, folder: Path, spec: MapSpec, note: bytes, check: Callable[[], None]) -> Flags:
    """Write the tiles of the finest level that hold anything; which these are."""
    columns, rows = _tile_count(spec.width_px), _tile_count(spec.height_px)
    flags, shards = np.zeros((rows, columns), dtype=bool), frozenset(present_shards(folder, spec))
    starts = np.arange(columns) * TILE_PX
    for row in range(rows):
        check()
        strip = _strip(spec, row, 0)
        if shards.isdisjoint(spec.shards_of(strip)):
            continue
        values = read_box(folder, spec, strip)
        own = values[..., row * TILE_PX - strip.y :, :][..., :TILE_PX, :] != spec.fill
        flags[row] = np.logical_or.reduceat(own.any(axis=tuple(range(own.ndim - 1))), starts)
        _write_row(level, spec, values, row, flags[row], note)
    if not flags.any():
        # A viewer takes no rectangle for "every tile is there", so one is.
        flags[0, 0] = True
        _write_row(level, spec, read_box(folder, spec, _strip(spec, 0, 0)), 0, flags[0], note)
    return flags


def _write_level(
    level: Path, spec: MapSpec, read: ReadLevel, step: int, flags: Flags, note: bytes, check: Callable[[], None]
) -> None:
    for row in np.flatnonzero(flags.any(axis=1)).tolist():
        check()
        _write_row(level, spec, read(_strip(spec, row, step), step), row, flags[row], note)


def _strip(spec: MapSpec, row: int, step: int) -> Box:
    """The px of a level that a row of tiles shows."""
    width, height = spec.level_size(step)
    top, bottom = max(0, row * TILE_PX - BORDER_PX), min(height, (row + 1) * TILE_PX + BORDER_PX)
    return Box(0, top, width, bottom - top)


def _write_row(level: Path, spec: MapSpec, strip: Values, row: int, flags: Flags, note: bytes) -> None:
    make_folder(level)
    for column in np.flatnonzero(flags).tolist():
        left, right = max(0, column * TILE_PX - BORDER_PX), (column + 1) * TILE_PX + BORDER_PX
        (level / f"{column}_{row}.jpg").write_bytes(_encode(paint(strip[..., left:right], spec), note))


def _encode(rgb: Values, note: bytes) -> bytes:
    """A JPEG with the note as its comment, so that a tile that is saved alone still says what it is."""
    # A copy: a picture of one pixel may have strides that the encoder does not take.
    data = bytes(
        imagecodecs.jpeg8_encode(
            rgb.copy(), level=JPEG_QUALITY, colorspace="RGB", outcolorspace="YCBCR", subsampling="444"
        )
    )
    return b"".join((data[:2], b"\xff\xfe", (len(note) + 2).to_bytes(2, "big"), note, data[2:]))


def _tile_count(size_px: int) -> int:
    return -(-size_px // TILE_PX)


def _note(spec: MapSpec, place: Place) -> bytes:
    mark = "" if spec.virtual is None else f"{mark_text(spec.virtual)} "
    return f"{mark}{NOTICE} histoserve {spec.name}, {place.mpp:g} um per px".encode()


def _description(spec: MapSpec, present: Flags, finest: int, note: bytes) -> str:
    comment = escape(note.decode()).replace("--", "- -")
    rects = "" if present.all() else f"<DisplayRects>{''.join(_rects(spec, present, finest))}\n</DisplayRects>\n"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {comment} -->\n'
        f'<Image xmlns="{XMLNS}" Format="jpg" Overlap="{BORDER_PX}" TileSize="{TILE_PX}">\n'
        f'<Size Width="{spec.width_px}" Height="{spec.height_px}"/>\n{rects}</Image>\n'
    )


def _rects(spec: MapSpec, present: Flags, finest: int) -> Iterator[str]:
    whole = Box(0, 0, spec.width_px, spec.height_px)
    for tiles in display_rects(present):
        box = Box(*(TILE_PX * value for value in (tiles.x, tiles.y, tiles.width, tiles.height))).intersect(whole)
        yield (
            f'\n<DisplayRect MinLevel="0" MaxLevel="{finest}">'
            f'<Rect X="{box.x}" Y="{box.y}" Width="{box.width}" Height="{box.height}"/></DisplayRect>'
        )
