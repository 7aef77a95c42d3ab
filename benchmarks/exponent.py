"""How one amount grows with another: exponents with their intervals."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

LEVEL = 0.95


Fit = dict[str, float | None]


def fit_power(x: Sequence[float], y: Sequence[float]) -> Fit:
    """The exponent p of y = b x^p by least squares of the logarithms, with its 95 % interval (Student's t).

    Two points have no interval: it is then None.
    """
    found = stats.linregress(np.log(x), np.log(y))
    spare = len(x) - 2
    return _with_interval(float(found.slope), float(found.stderr), spare) | {"n": len(x)}


def fit_power_above(x: Sequence[float], y: Sequence[float]) -> Fit:
    """The exponent p of y = a + b x^p, a >= 0 being what is there before anything grows, with p's 95 % interval.

    Residuals count relative to y, as a run's seconds vary by a part of them.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    scale = xs.max()
    start = (max(0.0, float(ys.min()) / 2), float(np.ptp(ys)) or 1.0, 1.0)
    with warnings.catch_warnings():
        # As many points as numbers to fit have no covariance; the interval is then None.
        warnings.simplefilter("ignore", optimize.OptimizeWarning)
        (fixed, _, exponent), covariance = optimize.curve_fit(
            _above, xs / scale, ys, p0=start, sigma=ys, bounds=([0, 0, 0.05], [np.inf, np.inf, 5.0])
        )
    told = _with_interval(float(exponent), float(np.sqrt(covariance[2, 2])), len(xs) - 3)
    return told | {"fixed": float(fixed), "n": len(xs)}


def _with_interval(exponent: float, error: float, spare: int) -> Fit:
    """`spare` is how many points there are beyond the numbers that were fitted."""
    if spare < 1:
        return {"exponent": exponent, "low": None, "high": None}
    wide = float(stats.t.ppf((1 + LEVEL) / 2, spare)) * error
    return {"exponent": exponent, "low": exponent - wide, "high": exponent + wide}


def _above(x: NDArray[np.float64], fixed: float, factor: float, exponent: float) -> NDArray[np.float64]:
    return np.asarray(fixed + factor * x**exponent)
