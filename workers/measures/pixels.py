"""The pixels of many components, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of n components, in raster order within each component."""

    xs: Ints
    ys: Ints
    """Image px."""
    heat: Bytes
    votes: Bytes
    """What was noted of each pixel; zeros where nothing was."""
    owner: Ints
    """Index of each pixel's component, from 0."""
    boxes: Ints
    """(n, 4): left, top, right, bottom of each component."""

    @staticmethod
    def join(parts: "Sequence[Pixels]") -> "Pixels":
        """All components of several parts, one part after the other."""
        offsets = np.cumsum([0, *(len(part.boxes) for part in parts[:-1])])
        return Pixels(
            np.concatenate([part.xs for part in parts]),
            np.concatenate([part.ys for part in parts]),
            np.concatenate([part.heat for part in parts]),
            np.concatenate([part.votes for part in parts]),
            np.concatenate([part.owner + offset for part, offset in zip(parts, offsets, strict=True)]),
            np.concatenate([part.boxes for part in parts]),
        )

    def take(self, chosen: Ints) -> "Pixels":
        """Some of the components, in the order given."""
        rank = np.full(len(self.boxes), -1, dtype=np.int64)
        rank[chosen] = np.arange(len(chosen))
        owner = rank[self.owner]
        mine = np.flatnonzero(owner >= 0)
        return Pixels(self.xs[mine], self.ys[mine], self.heat[mine], self.votes[mine], owner[mine], self.boxes[chosen])

    def sizes(self) -> Ints:
        """(n,): pixels of each component."""
        return np.bincount(self.owner, minlength=len(self.boxes))

    def firsts(self) -> tuple[Ints, Ints]:
        """(x, y) of each component's first pixel in raster order."""
        xs, ys = np.zeros(len(self.boxes), dtype=np.int64), np.zeros(len(self.boxes), dtype=np.int64)
        # Where an index comes more than once numpy keeps the last value: backwards, that is the first pixel.
        xs[self.owner[::-1]], ys[self.owner[::-1]] = self.xs[::-1], self.ys[::-1]
        return xs, ys

    def in_raster_order(self) -> "Pixels":
        """The same components, ordered by their first pixels."""
        xs, ys = self.firsts()
        return self.take(np.lexsort((xs, ys)))
