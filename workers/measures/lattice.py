"""Sums over the squares of a lattice that lies over a class map: positive, negative and all analysed pixels of each.

A pixel belongs to the square that holds its centre, so each is counted once, whatever the map is read in.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box

Values = NDArray[np.uint8]
Counts = NDArray[np.int64]
POSITIVE, NEGATIVE, ANALYSED = 0, 1, 2
"""Planes of a tally."""


@dataclass(frozen=True)
class Lattice:
    """Rectangles side by side from the map's origin on; the last ones reach out of the map."""

    width_px: float
    """Of a rectangle, map px; need not be whole."""
    height_px: float
    columns: int
    rows: int

    @staticmethod
    def over(map_width_px: int, map_height_px: int, width_px: float, height_px: float | None = None) -> "Lattice":
        """The lattice that covers a map; of squares where no height is given."""
        height = width_px if height_px is None else height_px
        columns, rows = math.ceil(map_width_px / width_px - 1e-9), math.ceil(map_height_px / height - 1e-9)
        return Lattice(width_px, height, columns, rows)


@dataclass(frozen=True)
class Roles:
    """What the values of a class map stand for."""

    positive: int
    negative: int
    classes: int
    """Values from here on are not analysed."""


class Tally:
    """The sums of a lattice so far; what it holds depends on the pixels added, not on their order."""

    def __init__(self, lattice: Lattice, roles: Roles) -> None:
        self.lattice = lattice
        self._roles = roles
        self.sums: Counts = np.zeros((3, lattice.rows, lattice.columns), dtype=np.int64)
        """(3, rows, columns): pixels that are positive, negative, analysed."""

    def add(self, box: Box, values: Values) -> None:
        """Count the pixels of a box of the map; no pixel may be added twice."""
        columns, left = _runs(box.x, box.right, self.lattice.width_px, self.lattice.columns)
        rows, top = _runs(box.y, box.bottom, self.lattice.height_px, self.lattice.rows)
        place = np.ix_(rows, columns)
        roles = self._roles
        for plane, found in enumerate((values == roles.positive, values == roles.negative, values < roles.classes)):
            across = np.add.reduceat(found, left, axis=1, dtype=np.int64)
            self.sums[plane][place] += np.add.reduceat(across, top, axis=0)

    def blocks(self) -> Counts:
        """(n, 3): the sums of each rectangle that holds anything analysed, row by row."""
        flat = self.sums.reshape(3, -1).T
        return flat[flat[:, ANALYSED] > 0]


def counted(pieces: Iterable[tuple[Box, Values]], tallies: Sequence[Tally]) -> Iterator[Values]:
    """The values of pieces of a map as they pass, each counted in all tallies."""
    for box, values in pieces:
        for tally in tallies:
            tally.add(box, values)
        yield values


def _runs(start: int, stop: int, step: float, limit: int) -> tuple[Counts, Counts]:
    """(which squares hold the centres of the px from `start` to `stop`, the first px of each, from `start`)."""
    owner = np.minimum(((np.arange(start, stop) + 0.5) / step).astype(np.int64), limit - 1)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    return owner[first], first
