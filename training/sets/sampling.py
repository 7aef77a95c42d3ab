"""Which rows a step is trained on."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def balanced_batches(
    labels: NDArray[np.integer], batch: int, seed: int, epoch: int, batches: int | None = None
) -> Iterator[Rows]:
    """Rows of one batch after the other, as many of each class, in random order.

    A class is gone through in a random order, and again in another once all its rows have come: rows of the smallest
    class come as often as each other. What comes follows from the seed and the epoch alone.

    Parameters
    ----------
    labels
        The class of every row.
    batches
        As many as hold all rows once, where None.

    Raises
    ------
    ValueError
        No rows, or a batch that the classes cannot share evenly.
    """
    classes = np.unique(labels)
    if not len(classes) or batch < 1 or batch % len(classes):
        raise ValueError(f"a batch of {batch} cannot hold as many rows of each of {len(classes)} classes")
    each, count = batch // len(classes), -(-len(labels) // batch) if batches is None else batches
    generator = np.random.default_rng([seed, epoch])
    turns = [_turns(np.flatnonzero(labels == name), each, count, generator) for name in classes]
    for number in range(count):
        rows = np.concatenate([turn[number * each : (number + 1) * each] for turn in turns])
        yield generator.permutation(rows)


def draw_in_proportion(weights: NDArray[np.floating], count: int, seed: int, replace: bool = True) -> Rows:
    """Rows drawn with a chance in proportion to their weights.

    Without replacement a row is drawn among those still there in proportion to their weights.

    Raises
    ------
    ValueError
        A weight is negative or not finite, all are zero, or fewer rows than `count` can be drawn.

    References
    ----------
    Efraimidis and Spirakis 2006, doi:10.1016/j.ipl.2005.11.003: waiting times of rate w, the shortest ones first.
    """
    values = np.asarray(weights, np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("weights must be finite and 0 or more")
    possible = np.flatnonzero(values > 0)
    if count and (not len(possible) or (not replace and len(possible) < count)):
        raise ValueError(f"{count} rows cannot be drawn of {len(possible)} with a weight above 0")
    generator = np.random.default_rng(seed)
    if not replace:
        waits = generator.exponential(size=len(possible)) / values[possible]
        return possible[np.argsort(waits, kind="stable")[:count]].astype(np.int64)
    ends = np.cumsum(values[possible])
    drawn = np.searchsorted(ends, generator.random(count) * ends[-1], side="right") if count else np.zeros(0, np.int64)
    # A product may round up to the last end.
    rows: Rows = possible[np.minimum(drawn, len(possible) - 1)].astype(np.int64)
    return rows


def _turns(rows: Rows, each: int, count: int, generator: np.random.Generator) -> Rows:
    """Rows for all batches: whole random orders of the class, one behind the other."""
    orders = [generator.permutation(rows) for _ in range(-(-each * count // len(rows)))]
    return np.concatenate([rows[:0], *orders])
