"""The outlines of many small components at once.

Each component is pasted into a slot of its own on one sheet, grown there, and all outlines are walked side by side,
so that the work per component is a few array elements instead of a Python loop over its rim. Slots keep components
apart: two that grow into each other on the slide do not here, so an outline depends on its own component alone.

An outline is the outer border of the grown component along pixel edges; holes are filled. It is simple: it never
crosses nor touches itself (a 4-connected component encloses one side of each pixel corner it meets twice).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box
from workers.measures.pixels import Ints, Pixels

Sheet = NDArray[np.bool_]

FALLING, RISING = 0b1001, 0b0110
"""Two set pixels that meet at a corner only: upper left and lower right, or upper right and lower left."""
INSIDE_BELOW = 0b1000


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlines of many components, in the order of the components."""

    starts: Ints
    """(n + 1,): outline i is `points[starts[i] : starts[i + 1]]`."""
    points: NDArray[np.int32]
    """(m, 2): corners (x, y) of pixels, clockwise as seen on the screen, not closed."""
    area_px: Ints
    """Pixels inside of each outline."""
    centroids: NDArray[np.float64]
    """(n, 2): (x, y) of the filled outline, where pixel i covers [i, i + 1)."""
    boxes: Ints
    """(n, 4): left, top, right, bottom of each outline."""


@dataclass(frozen=True, eq=False)
class _Slots:
    """Where each component lies on the sheet: add `dx`, `dy` to image px."""

    dx: Ints
    dy: Ints
    width: int
    height: int


def trace_outlines(pixels: Pixels, grow_px: int, image: Box) -> Outlines:
    """The outlines of components, each grown by a disc of radius `grow_px` and cut at the image's edge."""
    slots = _pack(pixels.boxes, grow_px)
    sheet = np.zeros((slots.height, slots.width), dtype=bool)
    sheet[pixels.ys + slots.dy[pixels.owner], pixels.xs + slots.dx[pixels.owner]] = True
    sheet = grow(sheet, grow_px)
    first_x, first_y = pixels.firsts()
    first_y -= grow_px
    for index in _crossing(pixels.boxes, grow_px, image):
        left, top, right, bottom = pixels.boxes[index].tolist()
        grown = Box(left, top, right - left, bottom - top).grow(grow_px)
        dx, dy = int(slots.dx[index]), int(slots.dy[index])
        slot = sheet[grown.y + dy : grown.bottom + dy, grown.x + dx : grown.right + dx]
        first_x[index], first_y[index] = _cut(slot, grown, image)
    corners = (first_y + slots.dy) * (slots.width - 1) + first_x + slots.dx - (slots.width - 1) - 1
    return _collect(*_walk(sheet, corners), slots)


def grow(sheet: Sheet, radius_px: int) -> Sheet:
    """A mask grown by a disc: each pixel whose centre lies within `radius_px` of a set pixel's centre."""
    grown = sheet.copy()
    row, reach = sheet.copy(), 0
    for rise in range(radius_px, -1, -1):
        wanted = math.isqrt(radius_px**2 - rise**2)
        for step in range(reach + 1, wanted + 1):
            row[:, step:] |= sheet[:, :-step]
            row[:, :-step] |= sheet[:, step:]
        reach = wanted
        if rise:
            grown[rise:] |= row[:-rise]
            grown[:-rise] |= row[rise:]
        else:
            grown |= row
    return grown


def _pack(boxes: Ints, grow_px: int) -> _Slots:
    """Shelves of slots, tallest first, on a sheet that is about square."""
    margin = grow_px + 1
    widths, heights = (boxes[:, 2] - boxes[:, 0] + 2 * margin), (boxes[:, 3] - boxes[:, 1] + 2 * margin)
    order = np.argsort(-heights, kind="stable")
    ends = np.cumsum(widths[order])
    side = max(int(np.sqrt(np.sum(widths * heights))), 1)
    starts = ends - widths[order]
    shelf = starts // side
    is_first = np.concatenate(([True], shelf[1:] != shelf[:-1]))
    number = np.cumsum(is_first) - 1
    tops = np.concatenate(([0], np.cumsum(heights[order][is_first])))
    left = starts - starts[is_first][number]
    dx, dy = np.empty_like(left), np.empty_like(left)
    dx[order] = left + margin - boxes[order, 0]
    dy[order] = tops[number] + margin - boxes[order, 1]
    return _Slots(dx, dy, int((left + widths[order]).max()), int(tops[-1]))


def _crossing(boxes: Ints, grow_px: int, image: Box) -> Ints:
    low = (boxes[:, 0] < image.x + grow_px) | (boxes[:, 1] < image.y + grow_px)
    high = (boxes[:, 2] > image.right - grow_px) | (boxes[:, 3] > image.bottom - grow_px)
    return np.flatnonzero(low | high)


def _cut(slot: Sheet, grown: Box, image: Box) -> tuple[int, int]:
    """Clear what a component grew behind the image's edge; (x, y) of the first pixel that is left, image px."""
    slot[: max(0, image.y - grown.y)] = False
    slot[:, : max(0, image.x - grown.x)] = False
    slot[image.bottom - grown.y :] = False
    slot[:, image.right - grown.x :] = False
    first = int(np.argmax(slot))
    return grown.x + first % grown.width, grown.y + first // grown.width


def _walk(sheet: Sheet, roots: Ints) -> tuple[Ints, Ints, Ints]:
    """(starts, xs, ys): the corners of each ring in order, from the corner it is known by; sheet px.

    The border of a mask along pixel edges alternates between horizontal and vertical edges. Row by row, corners pair up
    into horizontal edges; column by column into vertical ones. A ring is walked from edge to edge, all rings at once.
    """
    places, code = _corners(sheet)
    following, is_rightward = _link(places, code, sheet.shape[1] - 1)
    roots = np.searchsorted(places, roots) // 2
    rings, steps, edges = _walk_edges(following, roots)
    lengths = np.bincount(rings, minlength=len(roots))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    ordered = np.empty(len(edges), dtype=np.int64)
    ordered[starts[rings] + steps] = edges
    left, right = places[2 * ordered], places[2 * ordered + 1]
    ahead = is_rightward[ordered]
    both = np.stack((np.where(ahead, left, right), np.where(ahead, right, left)), axis=1).ravel()
    width = sheet.shape[1] - 1
    return starts * 2, both % width + 1, both // width + 1


def _corners(sheet: Sheet) -> tuple[Ints, NDArray[np.uint8]]:
    """Flat places (between four pixels) at which the border turns, row by row, and the four pixels as bits.

    Where two pixels meet at a corner only, the border turns twice: the place is there twice.
    """
    a, b, c, d = sheet[:-1, :-1], sheet[:-1, 1:], sheet[1:, :-1], sheet[1:, 1:]
    turns = a ^ b ^ c ^ d
    turns |= (a == d) & (b == c) & (a != b)
    places = np.flatnonzero(turns)
    width = sheet.shape[1]
    flat, first = sheet.ravel(), places + places // (width - 1)
    code = sum(flat[first + step].astype(np.uint8) << bit for bit, step in enumerate((0, 1, width, width + 1)))
    twice = 1 + ((code == FALLING) | (code == RISING))
    return np.repeat(places, twice), np.repeat(np.asarray(code, dtype=np.uint8), twice)


def _link(places: Ints, code: NDArray[np.uint8], width: int) -> tuple[Ints, NDArray[np.bool_]]:
    """For each horizontal edge the one that follows it, and whether it is walked to the right (inside below)."""
    xs = places % width
    columns = np.argsort(xs.astype(np.uint16) if width < 2**16 else xs, kind="stable")
    # Of the two turns at a falling corner, the lower left one comes first in its row and last in its column.
    falling = np.flatnonzero((code[columns[:-1]] == FALLING) & (places[columns[:-1]] == places[columns[1:]]))
    columns[falling], columns[falling + 1] = columns[falling + 1], columns[falling].copy()
    partner = np.empty(len(places), dtype=np.int64)
    partner[columns[0::2]] = columns[1::2]
    partner[columns[1::2]] = columns[0::2]
    is_rightward = (code[0::2] & INSIDE_BELOW) > 0
    ends = np.arange(0, len(places), 2) + is_rightward
    return partner[ends] // 2, is_rightward


def _walk_edges(following: Ints, roots: Ints) -> tuple[Ints, Ints, Ints]:
    """(ring, step, edge) of each edge of the rings that begin at `roots`."""
    rings, edges = np.arange(len(roots)), roots
    walked: list[tuple[Ints, int, Ints]] = []
    while len(rings):
        walked.append((rings, len(walked), edges))
        edges = following[edges]
        going = edges != roots[rings]
        if not going.all():
            rings, edges = rings[going], edges[going]
    counts = [len(ring) for ring, _, _ in walked]
    steps = np.repeat(np.arange(len(walked)), counts)
    return np.concatenate([w[0] for w in walked]), steps, np.concatenate([w[2] for w in walked])


def _collect(starts: Ints, xs: Ints, ys: Ints, slots: _Slots) -> Outlines:
    """Outlines in image px from rings in sheet px; moments by Green's theorem, in whole numbers."""
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    xs, ys = xs - slots.dx[owner], ys - slots.dy[owner]
    firsts = starts[:-1]
    from_x, to_x, at_y = xs[0::2], xs[1::2], ys[0::2]
    half = firsts // 2
    area = -np.add.reduceat(at_y * (to_x - from_x), half)
    moment_x = -np.add.reduceat(at_y * (to_x**2 - from_x**2), half) / 2
    moment_y = -np.add.reduceat(at_y**2 * (to_x - from_x), half) / 2
    boxes = [np.minimum.reduceat(v, firsts) for v in (xs, ys)] + [np.maximum.reduceat(v, firsts) for v in (xs, ys)]
    return Outlines(
        starts=starts,
        points=np.stack((xs, ys), axis=1).astype(np.int32),
        area_px=area,
        centroids=np.stack((moment_x / area, moment_y / area), axis=1),
        boxes=np.stack(boxes, axis=1),
    )
