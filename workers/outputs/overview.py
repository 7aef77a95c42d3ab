"""The overview: the whole slide with a map laid over it, for a person to see at a glance what was found where.

On a small slide the borders of the classes are drawn, so that single nuclei show. On a large one a pixel of the picture
holds many nuclei: it is tinted by how much of it they cover, averaged from a finer level, because the majority of a
coarse pixel is nearly always background.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box, Frame
from workers.outputs.colours import paint, palette
from workers.outputs.maps import MapSpec, read_box
from workers.outputs.marks import mark_lines
from workers.outputs.picture import RGB, Caption, resize, write_picture
from workers.outputs.place import place_of

SIDE_PX = 2000
MAX_ZOOM = 4
"""A tiny map is shown at most so many times larger."""
COARSE_PX = 8
"""Of a map whose pixels are wider than this, in px of the frame, each is a tile of the slide, and shown as large."""
BORDER_MPP = 1.2
"""Borders are drawn where the picture is at least this fine, um per px."""
FINER = 4
"""Coverage is averaged from a level at least so many times finer than the picture, where there is one."""
STRIP_ROWS = 8

Floats = NDArray[np.float32]


def write_overview(path: Path, folder: Path, spec: MapSpec, frame: Frame, *, thumbnail: RGB, title: str) -> None:
    """Write the overview of a map over its slide as a PNG of about `SIDE_PX` px.

    Parameters
    ----------
    thumbnail
        uint8, (h, w, 3): all of the slide's frame at any resolution.

    Raises
    ------
    ValueError
        The map holds probabilities of several classes, which no single picture shows.
    """
    mpp = picture_mpp(spec, frame)
    width, height = math.ceil(frame.width_px * frame.mpp / mpp), math.ceil(frame.height_px * frame.mpp / mpp)
    slide = resize(thumbnail, width, height)
    if spec.kind == "image":
        pixels = _side_by_side(slide, _sample(folder, spec, frame, mpp, (width, height)))
    elif spec.kind == "classes" and mpp <= BORDER_MPP:
        pixels = draw_borders(slide, _sample(folder, spec, frame, mpp, (width, height)), spec)
    else:
        pixels = _tint(slide, folder, spec, frame, mpp)
    write_picture(path, pixels, Caption(title, _legend(spec), mpp, mark_lines(spec.virtual)))


def picture_mpp(spec: MapSpec, frame: Frame) -> float:
    """The resolution of the overview."""
    longest_um = max(frame.width_px, frame.height_px) * frame.mpp
    return max(longest_um / SIDE_PX, frame.mpp * min(spec.stride_px, COARSE_PX) / MAX_ZOOM)


def draw_borders(slide: RGB, classes: NDArray[np.uint8], spec: MapSpec) -> RGB:
    """The slide with the rim of each class that is not background drawn in its colour, inside of it, 2 px wide.

    Parameters
    ----------
    classes
        uint8, (h, w): the class map at the slide's size.
    """
    shown = np.zeros(256, dtype=bool)
    shown[: len(spec.classes)] = [not item.background for item in spec.classes]
    rim = np.zeros(classes.shape, dtype=bool)
    for step in (1, 2):
        for axis in (0, 1):
            ahead, behind = np.roll(classes, step, axis), np.roll(classes, -step, axis)
            rim |= (ahead != classes) | (behind != classes)
    rim &= shown[classes]
    out = slide.copy()
    out[rim] = paint(classes, spec)[rim]
    return out


def _legend(spec: MapSpec) -> list[tuple[str, tuple[int, int, int]]]:
    if spec.kind == "heat":
        ramp = paint(np.array([[64, 128, 192, 255]], dtype=np.uint8), spec)[0].tolist()
        return [
            (f"{spec.name} {value:g}", (r, g, b)) for value, (r, g, b) in zip((0.25, 0.5, 0.75, 1), ramp, strict=True)
        ]
    return [(item.name, item.colour) for item in spec.classes if not item.background]


def _sample(folder: Path, spec: MapSpec, frame: Frame, mpp: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The map's value at the middle of each pixel of the picture, from the finest level that is not far too fine."""
    level = _level(spec, frame, mpp)
    own = place_of(frame, spec.stride_px).mpp * 2**level
    values = read_box(folder, spec, Box(0, 0, *spec.level_size(level)), level)
    columns, rows = (((np.arange(count) + 0.5) * mpp / own).astype(np.int64) for count in size)
    rows, columns = np.minimum(rows, values.shape[-2] - 1), np.minimum(columns, values.shape[-1] - 1)
    # One axis after the other: six times as fast as both at once.
    sampled: NDArray[np.uint8] = np.take(np.take(values, rows, axis=-2), columns, axis=-1)
    return sampled


def _level(spec: MapSpec, frame: Frame, wanted_mpp: float) -> int:
    """The coarsest level that is not coarser than wanted; the finest where none is."""
    own = frame.mpp * spec.stride_px
    return max((k for k in range(spec.levels) if own * 2**k <= wanted_mpp * (1 + 1e-9)), default=0)


def _side_by_side(left: RGB, planes: NDArray[np.uint8]) -> RGB:
    gap = np.full((left.shape[0], 8, 3), 255, dtype=np.uint8)
    return np.concatenate((left, gap, planes.transpose(1, 2, 0)), axis=1)


def _tint(slide: RGB, folder: Path, spec: MapSpec, frame: Frame, mpp: float) -> RGB:
    """The slide, each pixel tinted by the mean of what the map says in it."""
    out = slide.copy()
    for rows, weight, colour in _coverage(folder, spec, frame, mpp, (slide.shape[1], slide.shape[0])):
        # The square root lets sparse findings show.
        strength = 0.85 * np.sqrt(weight)[..., None]
        out[rows] = np.rint(slide[rows] * (1 - strength) + colour * strength).astype(np.uint8)
    return out


def _coverage(
    folder: Path, spec: MapSpec, frame: Frame, mpp: float, size: tuple[int, int]
) -> Iterator[tuple[slice, Floats, Floats]]:
    """(rows, weight (h, w) from 0 to 1, colour (h, w, 3)) strip by strip, without those where nothing was found."""
    level = _level(spec, frame, mpp / FINER)
    own = frame.mpp * spec.stride_px * 2**level
    across, down = spec.level_size(level)
    left = _edges(0, size[0], mpp / own, across)
    table = _weighted_colours(spec)
    for top in range(0, size[1], STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, size[1]))
        edges = _edges(rows.start, rows.stop, mpp / own, down)
        strip = read_box(folder, spec, Box(0, int(edges[0]), across, int(edges[-1] - edges[0])), level)
        if not (strip != spec.fill).any():
            continue
        means = _bin(np.take(table, strip, axis=0), edges - edges[0], left)
        colours = np.asarray(means[..., :3] / np.maximum(means[..., 3:], 1e-6), dtype=np.float32)
        yield rows, means[..., 3], colours


def _weighted_colours(spec: MapSpec) -> Floats:
    """(256, 4): the colour of each value times how much it counts as found, and that weight."""
    weights = np.arange(256, dtype=np.float32) / 255
    if spec.kind == "classes":
        weights[:] = 0
        weights[: len(spec.classes)] = [not item.background for item in spec.classes]
    colours = palette(spec) * weights[:, None]
    return np.concatenate((colours, weights[:, None]), axis=1)


def _edges(start: int, stop: int, ratio: float, limit: int) -> NDArray[np.int64]:
    """First map px of each picture px from `start`, and the end; each holds at least one."""
    edges: NDArray[np.int64] = np.floor(np.arange(start, stop + 1) * ratio + 1e-6).astype(np.int64)
    edges[:-1] = np.minimum(edges[:-1], limit - 1)
    edges[-1] = min(max(edges[-1], edges[-2] + 1), limit)
    return edges


def _bin(values: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """Means of (h, w, 4) between the edges."""
    inner_rows, inner_columns = np.minimum(rows[:-1], len(values) - 1), np.minimum(columns[:-1], values.shape[1] - 1)
    summed = np.add.reduceat(np.add.reduceat(values, inner_rows, axis=0), inner_columns, axis=1)
    heights, widths = (
        np.diff(np.append(inner, size))
        for inner, size in zip((inner_rows, inner_columns), values.shape[:2], strict=True)
    )
    counts = np.maximum(heights, 1)[:, None] * np.maximum(widths, 1)
    return np.asarray(summed / counts[..., None], dtype=np.float32)
