"""Whether tiles show: the gradient across tile borders against the gradient right beside them.

A score of 1 means that nobody can tell where a tile ended. The columns compared with a border lie 3, 5 and 8 map px
away on both sides, so that both see the same tissue.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR_PX = (-8, -5, -3, 3, 5, 8)
MIN_PIXELS = 1000
"""Below this many border pixels there is no score."""


@dataclass(frozen=True)
class SeamSums:
    """Sums of absolute differences between neighbouring map pixels, and how many there were."""

    border_sum: int = 0
    border_count: int = 0
    near_sum: int = 0
    near_count: int = 0

    def __add__(self, other: "SeamSums") -> "SeamSums":
        return SeamSums(
            self.border_sum + other.border_sum,
            self.border_count + other.border_count,
            self.near_sum + other.near_sum,
            self.near_count + other.near_count,
        )

    @property
    def score(self) -> float | None:
        """Mean gradient across borders over mean gradient beside them; None where there is too little to say."""
        if self.border_count < MIN_PIXELS or not self.near_sum:
            return None
        return (self.border_sum / self.border_count) / (self.near_sum / self.near_count)


def measure_seams(
    values: NDArray[np.uint8], tissue: NDArray[np.bool_], borders: tuple[list[int], list[int]]
) -> SeamSums:
    """The seam sums of one shard.

    Parameters
    ----------
    values
        uint8, (C, h, w).
    tissue
        bool, (h, w): only pairs of tissue pixels count.
    borders
        (columns, rows) at which a tile begins inside the shard, in map px.
    """
    columns, rows = borders
    turned = values.swapaxes(1, 2), tissue.T
    return _sums(values, tissue, columns) + _sums(*turned, rows)


def _sums(values: NDArray[np.uint8], tissue: NDArray[np.bool_], columns: list[int]) -> SeamSums:
    total = SeamSums()
    for column in columns:
        total += SeamSums(*_gradient(values, tissue, column), 0, 0)
        for near in _inside(column, values.shape[2], columns):
            total += SeamSums(0, 0, *_gradient(values, tissue, near))
    return total


def _inside(column: int, width: int, columns: list[int]) -> Iterator[int]:
    return (column + d for d in NEAR_PX if 0 < column + d < width and column + d not in columns)


def _gradient(values: NDArray[np.uint8], tissue: NDArray[np.bool_], column: int) -> tuple[int, int]:
    both = tissue[:, column - 1] & tissue[:, column]
    difference = np.abs(values[:, :, column].astype(np.int16) - values[:, :, column - 1])
    return int(difference[:, both].sum()), int(both.sum()) * values.shape[0]
