"""Intervals around a number measured on few images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Row = TypeVar("Row")


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % interval and the number of independent rows behind it."""

    value: float
    low: float
    high: float
    n: int


def bootstrap(
    rows: Sequence[Row], statistic: Callable[[Sequence[Row]], float], seed: int, repeats: int = 2000
) -> Estimate:
    """`statistic` over the rows, with a 95 % percentile interval from drawing the rows again with replacement.

    A row must be what is independent (an image, better a patient), never a nucleus or a pixel.

    Raises
    ------
    ValueError
        There is no row.

    References
    ----------
    Efron 1979, doi:10.1214/aos/1176344552.
    """
    if not rows:
        raise ValueError("an interval needs at least one row")
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(rows), size=(repeats, len(rows)))
    values = [statistic([rows[i] for i in draw]) for draw in draws]
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(float(statistic(rows)), float(low), float(high), len(rows))
