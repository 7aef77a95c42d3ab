"""Agreement of two instance maps: 0 is background, every other number one object."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Instances = NDArray[np.integer]
Areas = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Objects found, invented and missed."""

    true_positive: int
    false_positive: int
    false_negative: int

    def __add__(self, other: "Matches") -> "Matches":
        """Counts of both together."""
        return Matches(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted objects that are true; 1 where none was predicted."""
        predicted = self.true_positive + self.false_positive
        return self.true_positive / predicted if predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of the true objects that were found; 1 where there is none."""
        true = self.true_positive + self.false_negative
        return self.true_positive / true if true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there is nothing to find and nothing was predicted."""
        total = 2 * self.true_positive + self.false_positive + self.false_negative
        return 2 * self.true_positive / total if total else 1.0


def common_areas(truth: Instances, predicted: Instances) -> tuple[Areas, Areas, Areas]:
    """Pixels common to each pair (true objects, predicted objects), then the areas of the true and the predicted ones.

    Objects are in order of their numbers; numbers may have gaps.

    Raises
    ------
    ValueError
        The maps differ in shape.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"instance maps of shapes {truth.shape} and {predicted.shape} cannot be compared")
    true_numbers, rows = np.unique(truth, return_inverse=True)
    predicted_numbers, columns = np.unique(predicted, return_inverse=True)
    shape = (len(true_numbers), len(predicted_numbers))
    flat = rows.ravel() * shape[1] + columns.ravel()
    table = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)
    true, found = true_numbers != 0, predicted_numbers != 0
    return table[true][:, found], table.sum(1)[true], table.sum(0)[found]


def match(truth: Instances, predicted: Instances, threshold: float = 0.5) -> Matches:
    """Objects paired where their IoU exceeds `threshold`; above one half a pairing is unique.

    Raises
    ------
    ValueError
        `threshold` is below 0.5, where pairs would have to be chosen.

    References
    ----------
    Caicedo et al. 2019 (DSB 2018), doi:10.1038/s41592-019-0612-7.
    """
    if threshold < 0.5:
        raise ValueError(f"threshold {threshold} is below 0.5: pairs are no longer unique")
    common, true_areas, predicted_areas = common_areas(truth, predicted)
    union = true_areas[:, None] + predicted_areas[None] - common
    paired = int((common > threshold * union).sum())
    return Matches(paired, len(predicted_areas) - paired, len(true_areas) - paired)


def aji(truth: Instances, predicted: Instances) -> float:
    """Aggregated Jaccard index, 0..1; 1 where both maps are empty.

    Every true object takes the predicted one of largest IoU; their common areas over their unions, with every predicted
    object that nobody took added to the union.

    References
    ----------
    Kumar et al. 2017, doi:10.1109/TMI.2017.2677499.
    """
    common, true_areas, predicted_areas = common_areas(truth, predicted)
    if not len(true_areas) or not len(predicted_areas):
        return 1.0 if not len(true_areas) and not len(predicted_areas) else 0.0
    union = true_areas[:, None] + predicted_areas[None] - common
    best = (common / union).argmax(1)
    rows = np.arange(len(true_areas))
    met = common[rows, best] > 0
    shared = common[rows, best].sum()
    total = union[rows, best][met].sum() + true_areas[~met].sum()
    left = np.setdiff1d(np.arange(len(predicted_areas)), best[met])
    return float(shared / (total + predicted_areas[left].sum()))
