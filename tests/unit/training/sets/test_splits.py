"""Splits: a case lies in one part, and parts have about the rows that they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.sets.patch_set import PatchSet
from training.sets.splits import case_folds, check_split, leave_one_case_out, split_by_case

ROWS = st.lists(st.sampled_from("abcdefghij"), min_size=12, max_size=60).filter(lambda cases: len(set(cases)) >= 4)


def parts_of_case(cases, parts) -> dict[str, set[int]]:
    return {case: {int(p) for c, p in zip(cases, parts, strict=True) if c == case} for case in set(cases)}


def patches(*cases: str) -> PatchSet:
    n = len(cases)
    return PatchSet(
        np.zeros((n, 2, 2, 3), np.uint8),
        np.zeros(n, np.int64),
        ("a",),
        np.array(cases),
        np.array(cases),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n, np.bool_),
        0.25,
    )


@settings(max_examples=30, deadline=None)
@given(cases=ROWS, seed=st.integers(0, 99), folds=st.integers(2, 4))
def test_no_case_is_in_two_folds_and_no_fold_is_empty(cases, seed, folds):
    parts = case_folds(cases, folds, seed)
    assert all(len(of) == 1 for of in parts_of_case(cases, parts).values())
    assert set(parts.tolist()) == set(range(folds))


@settings(max_examples=10, deadline=None)
@given(cases=ROWS, seed=st.integers(0, 99))
def test_no_case_is_in_two_parts_and_none_with_a_share_is_empty(cases, seed):
    parts = split_by_case(cases, (0.7, 0.0, 0.3), seed)
    assert all(len(of) == 1 for of in parts_of_case(cases, parts).values())
    assert set(parts.tolist()) == {0, 2}


def test_the_largest_case_comes_first():
    cases = ["a"] * 1 + ["b"] * 2 + ["c"] * 3 + ["d"] * 6
    rows = np.bincount(case_folds(cases, 2, 0)).tolist()
    assert rows == [6, 6]


def test_equal_cases_are_dealt_by_the_seed():
    cases = [f"{number}" for number in range(12)]
    dealt = {tuple(case_folds(cases, 3, seed).tolist()) for seed in range(5)}
    assert len(dealt) == 5
    assert case_folds(cases, 3, 1).tolist() == case_folds(cases, 3, 1).tolist()


def test_folds_of_uneven_cases_are_nearly_even():
    sizes = np.random.default_rng(0).integers(10, 200, 40)
    rows = np.bincount(case_folds(np.repeat(np.arange(40).astype(str), sizes), 5, 3))
    assert np.ptp(rows) <= 0.05 * rows.mean()


def test_shares_are_of_rows_not_of_cases():
    sizes = np.random.default_rng(1).integers(5, 100, 25)
    cases = np.repeat([f"case {number}" for number in range(25)], sizes)
    rows = np.bincount(split_by_case(cases, (8, 2), 4)) / sizes.sum()
    assert rows == pytest.approx([0.8, 0.2], abs=0.02)


def test_another_seed_gives_another_split():
    cases = [f"{number}" for number in range(30)]
    splits = [split_by_case(cases, (0.8, 0.2), seed) for seed in range(4)]
    assert len({tuple(split.tolist()) for split in splits}) == 4
    assert all(np.bincount(split).tolist() == [24, 6] for split in splits)


def test_each_case_is_left_out_once():
    assert leave_one_case_out(["13", "11", "12", "11"]).tolist() == [2, 0, 1, 0]


@pytest.mark.parametrize("folds", [1, 4])
def test_too_few_cases_are_refused(folds):
    with pytest.raises(ValueError, match="3 cases cannot be parted"):
        case_folds(["a", "b", "c", "c"], folds, 0)


@pytest.mark.parametrize("shares", [(0.0, 0.0), (1.0, -0.1), (1.0, float("nan"))])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="shares must be"):
        split_by_case(["a", "b"], shares, 0)


def test_one_case_cannot_be_parted():
    with pytest.raises(ValueError, match="1 cases cannot be parted into 2 parts"):
        split_by_case(["a", "a"], (0.5, 0.5), 0)


def test_a_case_on_both_sides_is_found():
    check_split(patches("11", "12"), patches("13"))
    with pytest.raises(ValueError, match="1 cases are in training and in test, '12'"):
        check_split(patches("11", "12"), patches("12", "13"))
