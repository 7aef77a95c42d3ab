"""How sure fractions of an area are: blocks of the tissue drawn again with replacement.

Neighbouring pixels say nearly the same, so drawing pixels would promise far too much. Blocks are large against the
distance over which tissue is alike; what is drawn is the sums of whole blocks, and each fraction is a ratio of sums.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

DRAWS = 2000
LEVEL = 0.95
MIN_BLOCKS = 10
"""Fewer blocks (counted by `effective_blocks`) say too little of how blocks differ."""
AT_ONCE = 1_000_000
"""So many drawn blocks are held at once."""


@dataclass(frozen=True)
class Interval:
    """Two ends."""

    low: float
    high: float


@dataclass(frozen=True)
class FractionIntervals:
    """The 95 % intervals of the three fractions; None where there is none."""

    d_pos: Interval | None = None
    d_neg: Interval | None = None
    r_pos: Interval | None = None
    reason: str | None = None
    """Why one is missing."""


def effective_blocks(weights: Counts) -> float:
    """How many blocks of equal weight tell as much: (sum w)^2 / sum w^2; slivers hardly count.

    References
    ----------
    Kish 1965, Survey Sampling (the effective sample size).
    """
    total, squares = float(weights.sum()), float((weights.astype(np.float64) ** 2).sum())
    return total**2 / squares if squares else 0.0


def fraction_intervals(blocks: Counts, seed: int, draws: int = DRAWS) -> FractionIntervals:
    """The 95 % intervals of S_pos / S_ROI, S_neg / S_ROI and S_pos / (S_pos + S_neg) over all blocks.

    As many blocks as there are are drawn with replacement, `draws` times; the ends are the 2.5th and the 97.5th
    percentile of the ratios of their sums. A draw without positive and negative area has no R_pos and is left out of
    its percentiles.

    Parameters
    ----------
    blocks
        (n, 3): positive, negative and all of the analysed area of each block, in px; those without any are ignored.

    References
    ----------
    Künsch 1989, doi:10.1214/aos/1176347265 (blocks); Efron 1979, doi:10.1214/aos/1176344552 (the bootstrap); Efron and
    Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentiles).
    """
    held = blocks[blocks[:, 2] > 0]
    told = effective_blocks(held[:, 2])
    if told < MIN_BLOCKS:
        return FractionIntervals(
            reason=f"The tissue fills {told:.1f} blocks; at least {MIN_BLOCKS} are needed for an interval."
        )
    sums = _drawn_sums(held, np.random.default_rng(seed), draws)
    both = sums[:, 0] + sums[:, 1]
    some = both > 0
    r_pos = _percentiles(sums[some, 0] / both[some]) if some.any() else None
    return FractionIntervals(
        d_pos=_percentiles(sums[:, 0] / sums[:, 2]),
        d_neg=_percentiles(sums[:, 1] / sums[:, 2]),
        r_pos=r_pos,
        reason=None if r_pos else "There is neither positive nor negative area: no ratio.",
    )


def _drawn_sums(blocks: Counts, generator: np.random.Generator, draws: int) -> Counts:
    """(draws, 3): the sums of the blocks of each draw."""
    count, sums = len(blocks), np.empty((draws, blocks.shape[1]), dtype=np.int64)
    step = max(1, AT_ONCE // count)
    for start in range(0, draws, step):
        chosen = generator.integers(count, size=(min(step, draws - start), count))
        sums[start : start + step] = blocks[chosen].sum(axis=1)
    return sums


def _percentiles(values: Floats) -> Interval:
    outside = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, [outside, 100 - outside])
    return Interval(float(low), float(high))
