"""Splits by case: all patches of a patient lie in one part."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.sets.patch_set import PatchSet

Parts = NDArray[np.int64]
Cases = NDArray[np.str_] | Sequence[str]
DRAWS = 100
"""Random orders of the cases that are tried for a split; with few cases one seldom comes near the wanted shares."""


def case_folds(cases: Cases, folds: int, seed: int) -> Parts:
    """The fold of every row; folds have about as many rows each, and a case lies in one fold.

    The largest case comes first, and each goes where the fewest rows are; equal ones come in an order drawn from the
    seed.

    Raises
    ------
    ValueError
        Fewer cases than folds, or fewer than two folds.

    References
    ----------
    Graham 1969, doi:10.1137/0117039: no fold is filled to more than 4/3 of what the best filling needs.
    """
    names, numbers, rows = np.unique(np.asarray(cases), return_inverse=True, return_counts=True)
    if folds < 2 or len(names) < folds:
        raise ValueError(f"{len(names)} cases cannot be parted into {folds} folds: give 2 to {len(names)} folds")
    fold_of, filled = np.zeros(len(names), np.int64), np.zeros(folds, np.int64)
    drawn = np.random.default_rng(seed).permutation(len(names))
    for case in drawn[np.argsort(-rows[drawn], kind="stable")]:
        fold_of[case] = np.argmin(filled)
        filled[fold_of[case]] += rows[case]
    return fold_of[numbers]


def leave_one_case_out(cases: Cases) -> Parts:
    """The fold of every row, one fold for each case, in the order of their names."""
    numbers: Parts = np.unique(np.asarray(cases), return_inverse=True)[1].astype(np.int64)
    return numbers


def split_by_case(cases: Cases, shares: Sequence[float], seed: int) -> Parts:
    """The part of every row; parts have about these shares of the rows, and a case lies in one part.

    Of many random orders of the cases, filled up one part after the other, the one nearest to the shares is taken. No
    part with a share stays empty.

    Raises
    ------
    ValueError
        Shares that are negative or all zero, or fewer cases than parts with a share.
    """
    wanted = np.asarray(shares, np.float64)
    if not np.isfinite(wanted).all() or (wanted < 0).any() or wanted.sum() <= 0:
        raise ValueError(f"shares must be 0 or more and not all 0, these are {list(shares)}")
    names, numbers, rows = np.unique(np.asarray(cases), return_inverse=True, return_counts=True)
    if len(names) < (wanted > 0).sum():
        raise ValueError(f"{len(names)} cases cannot be parted into {(wanted > 0).sum()} parts: label more cases")
    wanted = wanted / wanted.sum()
    generator = np.random.default_rng(seed)
    fillings = [_filled(rows, wanted, generator.permutation(len(names))) for _ in range(DRAWS)]
    best = min(fillings, key=lambda parts: _misfit(parts, rows, wanted))
    return best[numbers]


def check_split(train: PatchSet, test: PatchSet) -> None:
    """Nothing, where no case is in both sets.

    Raises
    ------
    ValueError
        A case is in both: the test would measure memory.
    """
    shared = sorted(set(train.cases.tolist()) & set(test.cases.tolist()))
    if shared:
        raise ValueError(f"{len(shared)} cases are in training and in test, {shared[0]!r} among them: split by case")


def _filled(rows: Parts, wanted: NDArray[np.float64], order: NDArray[np.int64]) -> Parts:
    """The part of every case: a case each for the parts with a share, then to where most is missing."""
    part_of, missing = np.zeros(len(rows), np.int64), wanted * rows.sum()
    with_share = np.flatnonzero(wanted > 0)
    for place, case in enumerate(order):
        part = with_share[place] if place < len(with_share) else np.argmax(np.where(wanted > 0, missing, -np.inf))
        part_of[case] = part
        missing[part] -= rows[case]
    return part_of


def _misfit(parts: Parts, rows: Parts, wanted: NDArray[np.float64]) -> float:
    """How far the fullest or emptiest part is from its share."""
    got = np.bincount(parts, weights=rows, minlength=len(wanted)) / rows.sum()
    return float(np.abs(got - wanted).max())
