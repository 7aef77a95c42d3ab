"""Labels of several readers made one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AGREE = 3
"""Of the paper's four observers."""


def agreed(votes: NDArray[np.integer] | Sequence[Sequence[int]], least: int = AGREE) -> NDArray[np.int64]:
    """int64 (n,): the label that at least `least` readers gave each object; -1 where none has so many.

    Parameters
    ----------
    votes
        (n, readers): class numbers from 0; below 0 where a reader gave none.

    Raises
    ------
    ValueError
        Not (n, readers), or `least` is no majority: then two labels could have it.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section III.A: at least 3 of 4.
    """
    table = np.asarray(votes, np.int64)
    if table.ndim != 2:
        raise ValueError(f"votes have shape {table.shape}: give one row for each object, one column for each reader")
    if not table.shape[1] / 2 < least <= table.shape[1]:
        raise ValueError(
            f"{least} of {table.shape[1]} readers is no majority: give more than half, at most all of them"
        )
    labels = np.full(len(table), -1, np.int64)
    for label in np.unique(table[table >= 0]).tolist():
        labels[(table == label).sum(axis=1) >= least] = label
    return labels
