"""The fields of a slide that hold the most positive area: squares of one size that share no ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.measures.lattice import ANALYSED, NEGATIVE, POSITIVE

Counts = NDArray[np.int64]

STEPS = 16
"""A field is so many squares of the lattice wide: it is looked for at every sixteenth of its side."""
MIN_TISSUE = 0.5
"""The part of a field that must be tissue."""


@dataclass(frozen=True)
class DenseField:
    """A square of the lattice's squares, and the pixels it holds."""

    column: int
    row: int
    """Of its upper left square."""
    positive: int
    negative: int
    analysed: int


def densest_fields(sums: Counts, span: int, most: int, least_px: float) -> tuple[DenseField, ...]:
    """The field with the most positive pixels, then the one with the most that shares no square with it, up to `most`.

    Of equal fields the uppermost, then the leftmost. Fields without any positive pixel are none.

    Parameters
    ----------
    sums
        (3, rows, columns) of a `Tally`.
    span
        Squares on a side of a field; fields lie wholly inside of the lattice.
    least_px
        Analysed pixels that a field must hold.
    """
    if min(sums.shape[1:]) < span:
        return ()
    held = np.stack([_window_sums(plane, span) for plane in sums])
    score = np.where(held[ANALYSED] >= least_px, held[POSITIVE], 0)
    found: list[DenseField] = []
    while len(found) < most and score.any():
        row, column = divmod(int(np.argmax(score)), score.shape[1])
        positive, negative, analysed = (int(held[plane, row, column]) for plane in (POSITIVE, NEGATIVE, ANALYSED))
        found.append(DenseField(column, row, positive, negative, analysed))
        score[max(0, row - span + 1) : row + span, max(0, column - span + 1) : column + span] = 0
    return tuple(found)


def _window_sums(plane: Counts, span: int) -> Counts:
    """The sum of each `span` x `span` window, by its upper left corner."""
    table = np.pad(plane, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums: Counts = table[span:, span:] - table[:-span, span:] - table[span:, :-span] + table[:-span, :-span]
    return sums
