"""`report.json`: what was measured, on what, and of which weights."""

import hashlib
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.ki67.config import CLASSES
from training.loop.config import code_digest
from training.metrics.classification import ClassScore, accuracy, class_scores, confusion_matrix
from training.metrics.intervals import bootstrap
from training.metrics.numbers import Number, Row
from workers.measures.correlation import Correlation

REPORT = "report.json"
Labels = NDArray[np.integer]
Counts = NDArray[np.int64]


class ClassTable(Row):
    """Confusion (rows true, columns predicted) and scores of each class."""

    data: str
    synthetic: bool
    confusion: tuple[tuple[int, ...], ...]
    scores: tuple[ClassScore, ...]


class SlideRow(Row):
    """The share of positive area on one held-out phantom, by the map and by the truth."""

    name: str
    found: float
    true: float


class PairRow(Row):
    """Shares of a region, by the H&E's class map and by the colours of the Ki-67 section."""

    name: str
    he: tuple[float, float, float]
    """D_pos, D_neg, R_pos."""
    ihc: tuple[float, float, float]
    registered: bool
    error_um: float
    """Median distance between where registration puts points and where the phantom has them."""


class Report(Row):
    """All numbers of one network."""

    seed: int
    config: str
    data: dict[str, str]
    code: str
    weights: str
    """SHA-256 of the file of weights."""
    start: str
    """What the network started from, in words."""
    threads: int
    machine: str
    numbers: tuple[Number, ...]
    tables: tuple[ClassTable, ...]
    folds: tuple[float, ...]
    slides: tuple[SlideRow, ...]
    pairs: tuple[PairRow, ...]
    lost_pairs: tuple[str, ...]
    """Pairs that could not be registered; left out of the correlations."""
    correlations: dict[str, Correlation]


def machine_name() -> str:
    """What the numbers were computed on, in words that name no place or person."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_code() -> str:
    """SHA-256 of the code that patches, weights and numbers depend on."""
    training = Path(__file__).parent.parent
    return code_digest(*(training / name for name in ("ki67", "loop", "nets", "sets", "augment", "phantom", "metrics")))


def table_of(data: str, synthetic: bool, truth: Labels, predicted: Labels) -> ClassTable:
    """Confusion and class scores of these labels."""
    confusion = confusion_matrix(truth, predicted, len(CLASSES))
    rows = tuple(tuple(row) for row in confusion.tolist())
    return ClassTable(data=data, synthetic=synthetic, confusion=rows, scores=class_scores(confusion, CLASSES))


def by_case(
    where: tuple[str, str, bool], cases: NDArray[np.str_], statistic: Callable[[NDArray[np.int64]], float], seed: int
) -> Number:
    """A number over rows of patches with an interval from drawing whole cases again.

    Parameters
    ----------
    where
        Data, the number's name, and whether the data are synthetic.
    statistic
        Of the indices of the patches drawn.
    """
    rows = [np.flatnonzero(cases == case) for case in np.unique(cases)]

    def over(drawn: Sequence[NDArray[np.int64]]) -> float:
        return statistic(np.concatenate(list(drawn)))

    found = bootstrap(rows, over, seed, repeats=1000)
    data, name, synthetic = where
    return Number(
        data=data, name=name, value=found.value, low=found.low, high=found.high, n=found.n, synthetic=synthetic
    )


def accuracy_of(truth: Labels, predicted: Labels) -> Callable[[NDArray[np.int64]], float]:
    """Accuracy as a statistic of chosen rows."""
    classes = int(max(truth.max(), predicted.max())) + 1
    return lambda rows: accuracy(confusion_matrix(truth[rows], predicted[rows], classes))
