"""Pearson's correlation with its intervals."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMAL_975 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class Correlation:
    """r with two 95 % intervals and the number of pairs."""

    r: float
    low: float
    high: float
    """By Fisher's z."""
    bootstrap_low: float
    bootstrap_high: float
    n: int


def pearson(x: Floats, y: Floats) -> float:
    """Pearson's r; not a number where one of the two does not vary.

    References
    ----------
    Pearson 1895, doi:10.1098/rspl.1895.0041.
    """
    a, b = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / spread if spread > 0 else math.nan


def fisher_interval(r: float, n: int) -> tuple[float, float]:
    """The 95 % interval of r by Fisher's z, which is nearly normal with spread 1 / sqrt(n - 3); -1 to 1 below 4 pairs.

    References
    ----------
    Fisher 1921, On the probable error of a coefficient of correlation deduced from a small sample, Metron 1:3-32.
    """
    if n < 4:
        return -1.0, 1.0
    z = math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12))
    reach = NORMAL_975 / math.sqrt(n - 3)
    return math.tanh(z - reach), math.tanh(z + reach)


def correlate(x: Floats, y: Floats, seed: int, repeats: int = 2000) -> Correlation:
    """r of the pairs, with Fisher's interval and one from drawing the pairs again with replacement.

    Raises
    ------
    ValueError
        There are fewer than three pairs, or not as many x as y.
    """
    if len(x) != len(y) or len(x) < 3:
        raise ValueError(f"a correlation needs three pairs or more, not {len(x)} and {len(y)} numbers")
    r = pearson(x, y)
    draws = np.random.default_rng(seed).integers(len(x), size=(repeats, len(x)))
    drawn = np.array([pearson(x[draw], y[draw]) for draw in draws])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Correlation(r, *fisher_interval(r, len(x)), float(low), float(high), len(x))
