"""Pieces that turn out to belong together: disjoint sets with the box that each set fills."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(eq=False)
class Unions:
    """Pieces by number, each in a set; a set knows its box and whether anything marked it."""

    parents: list[int] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Lowest x, y and highest x, y, inclusive; right for roots."""
    marks: list[bool] = field(default_factory=list)

    def add(self, box: tuple[int, int, int, int], *, marked: bool) -> int:
        """The number of a new piece, a set of its own."""
        self.parents.append(len(self.parents))
        self.boxes.append(box)
        self.marks.append(marked)
        return len(self.parents) - 1

    def root(self, piece: int) -> int:
        """The piece that stands for the set."""
        while self.parents[piece] != piece:
            self.parents[piece] = self.parents[self.parents[piece]]
            piece = self.parents[piece]
        return piece

    def join(self, one: int, other: int) -> None:
        """Make one set of two."""
        low, high = sorted((self.root(one), self.root(other)))
        if low == high:
            return
        (a, b, c, d), (e, f, g, h) = self.boxes[low], self.boxes[high]
        self.parents[high] = low
        self.boxes[low] = (min(a, e), min(b, f), max(c, g), max(d, h))
        self.marks[low] = self.marks[low] or self.marks[high]

    def join_along(self, one: Ints, other: Ints) -> None:
        """Join the pieces that lie beside each other in two lines of numbers, -1 being no piece."""
        both = (one >= 0) & (other >= 0)
        for pair in np.unique(np.stack((one[both], other[both]), axis=1), axis=0).tolist():
            self.join(*pair)

    def side(self, piece: int) -> int:
        """The longer side of the box of a piece's set."""
        left, top, right, bottom = self.boxes[self.root(piece)]
        return max(right - left, bottom - top) + 1
