"""The 4-connected components of a mask far larger than memory, block by block, in row-major order.

A component that ends inside of its block is finished at once. One that goes on behind the block's right or lower
border is kept open, its pixels with it, and joined with what it meets there. A component is finished in the very
block in which it is completed: blocks are looked at with one more column and row, which tell whether anything goes
on. So memory is one block, and the open components along one line across the image. A component that outgrows the
largest area keeps its size alone.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.geometry import Box
from workers.measures.pixels import Bytes, Ints, Pixels

Mask = NDArray[np.bool_]

BOX_FACTOR = 64
"""A component whose bounding box holds more than this many times the largest area is counted as too large."""
NONE: Ints = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Block:
    """What is known of a box of the map: what belongs to cells, and what to note of each pixel."""

    interior: Mask
    """bool, (h, w)."""
    heat: Bytes | None = None
    """uint8, (h, w): a probability in 1/255."""
    votes: Bytes | None = None
    """uint8, (h, w): a class per pixel."""


@dataclass(eq=False)
class Open:
    """A component that may still grow."""

    size: int
    box: Ints
    """(4,): left, top, right, bottom."""
    pieces: list[Pixels]
    """Its parts; empty once it is too large."""
    alive: set[int]
    """Numbers of those parts that touch a block which is still to come."""


@dataclass(eq=False)
class Frontier:
    """The open components, and where they cross into blocks that are still to come."""

    below: Ints
    """(width,): number of the part that goes on below the finished blocks, 0 where none does."""
    beside: Ints
    """(block,): the same for the block to the right, along its rows."""
    root: dict[int, Open] = field(default_factory=dict)
    """The component of each part that is alive."""
    exposures: dict[int, int] = field(default_factory=dict)
    """How many blocks to come each part touches: 0, 1 or 2."""
    last: int = 0
    too_small: int = 0
    too_large: int = 0


@dataclass(frozen=True)
class Limits:
    """What is given up at once: what cannot be kept after it has grown by `grow_px` and its holes are filled."""

    min_area_px: float
    max_area_px: float
    grow_px: int = 0

    def is_too_large(self, sizes: Ints, boxes: Ints) -> Mask:
        """Which components have too many pixels, or a bounding box far larger than any compact thing has."""
        return (sizes > self.max_area_px) | (_box_area(boxes, 0) > BOX_FACTOR * self.max_area_px)

    def is_too_small(self, boxes: Ints) -> Mask:
        """Which components are too small even if they fill their grown bounding box."""
        return _box_area(boxes, self.grow_px) < self.min_area_px


def _box_area(boxes: Ints, grow_px: int) -> Ints:
    area: Ints = (boxes[..., 2] - boxes[..., 0] + 2 * grow_px) * (boxes[..., 3] - boxes[..., 1] + 2 * grow_px)
    return area


def new_frontier(image: Box, block_px: int) -> Frontier:
    """A frontier before the first block."""
    return Frontier(np.zeros(image.width, dtype=np.int64), np.zeros(block_px, dtype=np.int64))


def take_block(frontier: Frontier, core: Box, block: Block | None, limits: Limits) -> list[Pixels]:
    """The components that the block of `core` completes: those inside of it, then those that entered it.

    Blocks come in row-major order.

    Parameters
    ----------
    block
        The box of `core` with one more column and row where the image has them; None where there is nothing.
    """
    entering = frontier.beside[: core.height].copy(), frontier.below[core.x : core.right].copy()
    frontier.beside[:], frontier.below[core.x : core.right] = 0, 0
    if block is None:
        return _finished(frontier, _leave(frontier, entering, NONE), limits)
    labels, _ = ndimage.label(block.interior[: core.height, : core.width])
    leaving = _going_on(block.interior, labels)
    parts = _measure(core, block, labels, limits)
    numbers = _open(frontier, parts, _touching(labels, entering, leaving), leaving)
    for ids, edge in zip(entering, (labels[:, 0], labels[0]), strict=True):
        _join(frontier, ids, numbers[edge], limits)
    frontier.beside[: core.height], frontier.below[core.x : core.right] = numbers[leaving[0]], numbers[leaving[1]]
    inside = _closed(frontier, parts, numbers == 0, limits)
    return [*inside, *_finished(frontier, _leave(frontier, entering, numbers), limits)]


@dataclass(frozen=True, eq=False)
class _Parts:
    """All components of one block; row 0 of everything is the background, and pixels are owned by their labels."""

    sizes: Ints
    pixels: Pixels
    """Without those of components that are too large."""


def _measure(core: Box, block: Block, labels: NDArray[np.int32], limits: Limits) -> _Parts:
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    ys, xs = np.nonzero(((sizes > 0) & (sizes <= limits.max_area_px))[labels])
    spans = [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in ndimage.find_objects(labels)]
    boxes = np.array([(0, 0, 0, 0), *spans], dtype=np.int64) + np.array([core.x, core.y, core.x, core.y])
    none = np.zeros(len(xs), dtype=np.uint8)
    heat = none if block.heat is None else block.heat[ys, xs]
    votes = none if block.votes is None else block.votes[ys, xs]
    owner = labels[ys, xs].astype(np.int64)
    return _Parts(sizes, Pixels(xs + core.x, ys + core.y, heat, votes, owner, boxes))


def _going_on(interior: Mask, labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Labels along the right column and the lower row, 0 where the component does not go on behind them."""
    height, width = labels.shape
    right = labels[:, -1] * interior[:height, width] if interior.shape[1] > width else np.zeros_like(labels[:, -1])
    lower = labels[-1] * interior[height, :width] if interior.shape[0] > height else np.zeros_like(labels[-1])
    return right, lower


def _touching(
    labels: NDArray[np.int32], entering: tuple[Ints, Ints], leaving: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> Ints:
    """The labels that belong to components of more than this block."""
    edges = labels[:, 0][entering[0] > 0], labels[0][entering[1] > 0], *leaving
    found = np.unique(np.concatenate(edges))
    return found[found > 0].astype(np.int64)


def _open(
    frontier: Frontier, parts: _Parts, touching: Ints, leaving: tuple[NDArray[np.int32], NDArray[np.int32]]
) -> Ints:
    """The number of each label, 0 for those that are complete; new components are opened for the others."""
    numbers = np.zeros(len(parts.sizes), dtype=np.int64)
    numbers[touching] = np.arange(len(touching)) + frontier.last + 1
    frontier.last += len(touching)
    exposures = np.isin(touching, leaving[0]).astype(np.int64) + np.isin(touching, leaving[1])
    own = _split(parts.pixels, touching)
    for index, label in enumerate(touching.tolist()):
        number = int(numbers[label])
        frontier.exposures[number] = int(exposures[index])
        frontier.root[number] = Open(int(parts.sizes[label]), parts.pixels.boxes[label], [own[index]], {number})
    return numbers


def _split(pixels: Pixels, chosen: Ints) -> list[Pixels]:
    """Each of some components by itself."""
    some = pixels.take(chosen)
    order = np.argsort(some.owner, kind="stable")
    cuts = np.searchsorted(some.owner[order], np.arange(1, len(chosen)))
    alone = np.zeros(len(order), dtype=np.int64)
    return [
        Pixels(some.xs[own], some.ys[own], some.heat[own], some.votes[own], alone[: len(own)], some.boxes[i : i + 1])
        for i, own in enumerate(np.split(order, cuts))
    ]


def _join(frontier: Frontier, entering: Ints, here: Ints, limits: Limits) -> None:
    """Make one component of those that meet along an edge."""
    met = (entering > 0) & (here > 0)
    for first, second in np.unique(np.stack((entering[met], here[met]), axis=1), axis=0):
        a, b = frontier.root[int(first)], frontier.root[int(second)]
        if a is b:
            continue
        large, small = (a, b) if len(a.alive) >= len(b.alive) else (b, a)
        _absorb(large, small, limits)
        for number in small.alive:
            frontier.root[number] = large


def _absorb(large: Open, small: Open, limits: Limits) -> None:
    large.size += small.size
    large.box = np.concatenate((np.minimum(large.box[:2], small.box[:2]), np.maximum(large.box[2:], small.box[2:])))
    large.alive |= small.alive
    large.pieces += small.pieces
    if limits.is_too_large(np.array(large.size), large.box):
        large.pieces = []


def _leave(frontier: Frontier, entering: tuple[Ints, Ints], numbers: Ints) -> list[Open]:
    """The components that cannot grow any more, now that the edges they entered by are passed."""
    passed = [number for edge in entering for number in np.unique(edge[edge > 0]).tolist()]
    for number in passed:
        frontier.exposures[number] -= 1
    new = numbers[numbers > 0].tolist()
    done = []
    for number in {*passed, *new}:
        if frontier.exposures[number] == 0:
            component = frontier.root.pop(number)
            del frontier.exposures[number]
            component.alive.remove(number)
            if not component.alive:
                done.append(component)
    return done


def _closed(frontier: Frontier, parts: _Parts, is_complete: Mask, limits: Limits) -> list[Pixels]:
    """The components of one block that touch no other block, without those that are too small or too large."""
    chosen = _choose(frontier, parts.sizes, parts.pixels.boxes, is_complete & (parts.sizes > 0), limits)
    return [parts.pixels.take(chosen)] if len(chosen) else []


def _finished(frontier: Frontier, done: list[Open], limits: Limits) -> list[Pixels]:
    """The same for components of several blocks."""
    if not done:
        return []
    sizes, boxes = np.array([c.size for c in done], dtype=np.int64), np.stack([c.box for c in done])
    chosen = _choose(frontier, sizes, boxes, np.ones(len(done), dtype=bool), limits)
    if not len(chosen):
        return []
    pieces = [Pixels.join(done[index].pieces) for index in chosen]
    joined = Pixels.join(pieces)
    owner = np.repeat(np.arange(len(chosen)), sizes[chosen])
    order = np.lexsort((joined.xs, joined.ys, owner))
    xs, ys, heat, votes = joined.xs[order], joined.ys[order], joined.heat[order], joined.votes[order]
    return [Pixels(xs, ys, heat, votes, owner, boxes[chosen])]


def _choose(frontier: Frontier, sizes: Ints, boxes: Ints, candidates: Mask, limits: Limits) -> Ints:
    """Which of the complete components are kept; the others are counted."""
    large = candidates & limits.is_too_large(sizes, boxes)
    small = candidates & ~large & limits.is_too_small(boxes)
    frontier.too_large += int(large.sum())
    frontier.too_small += int(small.sum())
    return np.flatnonzero(candidates & ~large & ~small)
