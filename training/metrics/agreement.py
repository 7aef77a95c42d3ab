"""Agreement of two raters: quadratic weighted kappa and Spearman's correlation, each with an interval by slide.

Neither exists for every set of slides. Where it does not, the answer says why and has no value, which no arithmetic
takes for a number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
"""Of (m, n, raters), m values; not a number where there is none."""
LEAST_SLIDES = 3
LEAST_DEFINED = 0.5
"""Part of the drawn sets that must have a value, or there is no interval."""
TINY = 1e-12


@dataclass(frozen=True)
class Agreement:
    """A measure of agreement with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Slides."""
    reason: str = ""
    """Why there is no value, or no interval."""


def quadratic_kappa(first: ArrayLike, second: ArrayLike, seed: int = 0, repeats: int = 2000) -> Agreement:
    """Cohen's kappa with quadratic weights of two raters' grades (whole numbers, evenly apart).

    With quadratic weights the table of grades is not needed: kappa is 1 - mean (a - b)^2 / mean over all pairs of
    slides (a_i - b_j)^2, whatever the number of grades. Where both raters give every slide the same one grade, nothing
    is expected to differ and there is no kappa.

    Raises
    ------
    ValueError
        The raters graded different numbers of slides, or a grade is not finite.

    References
    ----------
    Cohen 1968, doi:10.1037/h0026256; intervals: Efron 1979, doi:10.1214/aos/1176344552, slides drawn again.
    """
    reason = "both raters gave every slide the same one grade: agreement beyond chance does not exist there"
    return _estimate(_two_kappas, _pair(first, second), (seed, repeats), reason)


def spearman(first: ArrayLike, second: ArrayLike, seed: int = 0, repeats: int = 2000) -> Agreement:
    """Spearman's rank correlation; ties share the mean of their ranks. None where one of the two does not vary.

    Raises
    ------
    ValueError
        Different numbers of slides, or a number is not finite.

    References
    ----------
    Spearman 1904, doi:10.2307/1412159; intervals: Efron 1979, doi:10.1214/aos/1176344552, slides drawn again.
    """
    undefined = "one of the two does not vary: there are no ranks"
    return _estimate(_two_spearmans, _pair(first, second), (seed, repeats), undefined)


def pairwise(table: ArrayLike, measure: Literal["kappa", "spearman"], seed: int = 0, repeats: int = 2000) -> Agreement:
    """The mean over all pairs of readers: quadratic weighted kappa, or Spearman's correlation.

    A pair without a value is left out of the mean.

    Parameters
    ----------
    table
        (n, readers): what each reader said of each slide, region or cell, which the interval draws again.

    Raises
    ------
    ValueError
        Fewer than two readers, or a value is not finite.
    """
    values = np.asarray(table, np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise ValueError(f"a table of shape {values.shape} has no pairs: give finite (n, readers), two readers or more")
    pairs = list(combinations(range(values.shape[1]), 2))
    of_pair = _kappas if measure == "kappa" else _spearmans

    def mean(rows: Floats) -> Floats:
        each = np.stack([of_pair(rows[..., a], rows[..., b]) for a, b in pairs])
        known = np.isfinite(each)
        total, count = np.where(known, each, 0).sum(axis=0), known.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return _estimate(mean, values, (seed, repeats), "no two readers differ and vary: there is nothing to measure")


def kappa_value(first: ArrayLike, second: ArrayLike) -> float | None:
    """Quadratic weighted kappa alone."""
    return _value(_two_kappas, _pair(first, second))


def spearman_value(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's correlation alone."""
    return _value(_two_spearmans, _pair(first, second))


def _estimate(measure: Measure, rows: Floats, draw: tuple[int, int], undefined: str) -> Agreement:
    """The measure of (n, raters), with the interval from drawing rows again."""
    if len(rows) < LEAST_SLIDES:
        return Agreement(
            None, None, None, len(rows), f"{len(rows)} slides are too few: at least {LEAST_SLIDES} are needed"
        )
    value = _value(measure, rows)
    if value is None:
        return Agreement(None, None, None, len(rows), undefined)
    seed, repeats = draw
    drawn = measure(rows[np.random.default_rng(seed).integers(len(rows), size=(repeats, len(rows)))])
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < LEAST_DEFINED * repeats:
        reason = f"only {len(defined)} of {repeats} drawn sets have a value: no interval"
        return Agreement(value, None, None, len(rows), reason)
    low, high = np.percentile(defined, [2.5, 97.5]).tolist()
    return Agreement(value, low, high, len(rows))


def _value(measure: Measure, rows: Floats) -> float | None:
    if not len(rows):
        return None
    value = float(measure(rows[None])[0])
    return value if np.isfinite(value) else None


def _two_kappas(rows: Floats) -> Floats:
    return _kappas(rows[..., 0], rows[..., 1])


def _two_spearmans(rows: Floats) -> Floats:
    return _spearmans(rows[..., 0], rows[..., 1])


def _kappas(a: Floats, b: Floats) -> Floats:
    """Kappa of each row of (m, n); not a number where it does not exist."""
    seen = ((a - b) ** 2).mean(axis=1)
    expected = a.var(axis=1) + b.var(axis=1) + (a.mean(axis=1) - b.mean(axis=1)) ** 2
    exists = expected > TINY
    return np.where(exists, 1 - seen / np.where(exists, expected, 1.0), np.nan)


def _spearmans(a: Floats, b: Floats) -> Floats:
    """Spearman's correlation of each row of (m, n); not a number where one side is constant."""
    x, y = (rankdata(values, axis=1) for values in (a, b))
    x, y = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (x, y))
    length = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    exists = length > TINY
    return np.where(exists, (x * y).sum(axis=1) / np.where(exists, length, 1.0), np.nan)


def _pair(first: ArrayLike, second: ArrayLike) -> Floats:
    """(n, 2)."""
    a, b = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if len(a) != len(b):
        raise ValueError(f"the raters judged {len(a)} and {len(b)} slides: give one value each for every slide")
    values = np.stack([a, b], axis=1)
    if not np.isfinite(values).all():
        raise ValueError("a value is not finite: leave that slide out for both raters")
    return values
