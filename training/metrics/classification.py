"""How well classes are told apart: confusion matrix, accuracy, precision, recall and F1 of each class, AUC."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Labels = NDArray[np.integer]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScore:
    """One row of a classification report."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def confusion_matrix(truth: Labels, predicted: Labels, classes: int) -> Counts:
    """Counts (classes, classes): row the true class, column the predicted one."""
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} true and {len(predicted)} predicted labels cannot be compared")
    flat = np.asarray(truth, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy(confusion: Counts) -> float:
    """Share of the samples on the diagonal; 0 where there is no sample."""
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else 0.0


def class_scores(confusion: Counts, names: tuple[str, ...]) -> tuple[ClassScore, ...]:
    """Precision, recall, F1 and support of each class, then their means weighted by support as "average".

    A class that is never predicted has precision 0, one that does not occur recall 0: both are failures, not successes.
    """
    support, found = confusion.sum(1), confusion.sum(0)
    right = np.diagonal(confusion).astype(np.float64)
    precision = right / np.maximum(found, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + found, 1)
    weights = support / max(1, int(support.sum()))
    rows = [
        ClassScore(name, float(p), float(r), float(f), int(n))
        for name, p, r, f, n in zip(names, precision, recall, f1, support, strict=True)
    ]
    means = [float(weights @ values) for values in (precision, recall, f1)]
    return (*rows, ClassScore("average", means[0], means[1], means[2], int(support.sum())))


def auc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counted as one half.

    Raises
    ------
    ValueError
        One of the two is missing.

    References
    ----------
    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        raise ValueError("an area under the ROC curve needs positive and negative samples")
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)
