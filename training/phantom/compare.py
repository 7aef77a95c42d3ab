"""What an analysis found on a phantom, held against the truth."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.spatial import cKDTree

MATCH_UM = 5.0
"""Half a nucleus: a centroid farther away is another nucleus."""


@dataclass(frozen=True)
class Agreement:
    """How well found points are the true ones."""

    true: int
    found: int
    matched: int
    match_um: float

    @property
    def precision(self) -> float:
        """Part of what was found that is there."""
        return self.matched / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Part of what is there that was found."""
        return self.matched / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.matched / (self.true + self.found) if self.true + self.found else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {name: round(getattr(self, name), 4) for name in ("precision", "recall", "f1")}


def compare_tables(found: Path, truth: Path, match_um: float = MATCH_UM) -> Agreement:
    """The agreement of `cells.parquet` or `points.parquet` of a run with the truth of a phantom."""
    return compare_points(_points(found), _points(truth), match_um)


def compare_points(found: NDArray[np.float64], truth: NDArray[np.float64], match_um: float) -> Agreement:
    """The agreement of two sets of points (N, 2) in um: each is matched once, the closest pairs first."""
    return Agreement(len(truth), len(found), _match(found, truth, match_um), match_um)


def _match(found: NDArray[np.float64], truth: NDArray[np.float64], match_um: float) -> int:
    if not len(found) or not len(truth):
        return 0
    pairs = cKDTree(found).sparse_distance_matrix(cKDTree(truth), match_um, output_type="ndarray")
    free_found, free_true = np.ones(len(found), dtype=bool), np.ones(len(truth), dtype=bool)
    matched = 0
    for index in np.lexsort((pairs["j"], pairs["i"], pairs["v"])):
        one, other = pairs["i"][index], pairs["j"][index]
        if free_found[one] and free_true[other]:
            free_found[one] = free_true[other] = False
            matched += 1
    return matched


def _points(table: Path) -> NDArray[np.float64]:
    columns = pq.read_table(table, columns=["x_um", "y_um"])
    return np.column_stack([columns[name].to_numpy() for name in ("x_um", "y_um")])
