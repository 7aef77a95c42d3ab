"""Sampling: as many of each class, and in proportion where that is asked for."""

import numpy as np
import pytest

from training.sets.sampling import balanced_batches, draw_in_proportion

LABELS = np.array([0] * 50 + [1] * 7 + [2] * 3)
WEIGHTS = np.array([0.0, 1.0, 2.0, 3.0, 4.0])


def chi_square(drawn, weights) -> float:
    expected = weights / weights.sum() * len(drawn)
    counts = np.bincount(drawn, minlength=len(weights))
    return float(((counts - expected)[weights > 0] ** 2 / expected[weights > 0]).sum())


def test_every_batch_has_as_many_of_each_class():
    batches = list(balanced_batches(LABELS, 12, seed=1, epoch=0, batches=20))
    assert len(batches) == 20
    assert all(np.bincount(LABELS[rows]).tolist() == [4, 4, 4] for rows in batches)


def test_rows_of_a_small_class_come_equally_often():
    rows = np.concatenate(list(balanced_batches(LABELS, 12, seed=1, epoch=0, batches=21)))
    counts = np.bincount(rows, minlength=60)
    assert counts[57:].tolist() == [28, 28, 28]
    assert counts[50:57].tolist() == [12] * 7
    # 84 draws of 50 rows: each comes once before one comes twice.
    assert set(counts[:50].tolist()) == {1, 2}


def test_batches_follow_from_seed_and_epoch():
    def batches(seed: int, epoch: int):
        return [rows.tolist() for rows in balanced_batches(LABELS, 6, seed, epoch, 5)]

    assert batches(1, 2) == batches(1, 2)
    assert batches(1, 2) != batches(1, 3)
    assert batches(1, 2) != batches(2, 2)


def test_classes_are_mixed_within_a_batch():
    firsts = {int(LABELS[rows[0]]) for rows in balanced_batches(LABELS, 12, seed=0, epoch=0, batches=30)}
    assert firsts == {0, 1, 2}


def test_an_epoch_has_as_many_rows_as_the_set():
    assert len(list(balanced_batches(LABELS, 12, seed=0, epoch=0))) == 5
    assert len(list(balanced_batches(LABELS, 9, seed=0, epoch=0))) == 7


@pytest.mark.parametrize(("labels", "batch"), [(LABELS, 64), (LABELS, 0), (LABELS[:0], 6)])
def test_a_batch_that_cannot_be_shared_is_refused(labels, batch):
    with pytest.raises(ValueError, match="cannot hold as many rows"):
        next(balanced_batches(labels, batch, 0, 0))


def test_draws_are_in_proportion():
    drawn = draw_in_proportion(WEIGHTS, 100_000, seed=5)
    # 3 degrees of freedom: above 16.3 once in a thousand.
    assert chi_square(drawn, WEIGHTS) < 16.3
    assert 0 not in drawn


def test_other_proportions_would_be_told_apart():
    for wrong in (WEIGHTS**2, np.sqrt(WEIGHTS), (WEIGHTS > 0).astype(float)):
        assert chi_square(draw_in_proportion(wrong, 100_000, seed=5), WEIGHTS) > 1000


def test_without_replacement_no_row_comes_twice():
    weights = np.arange(1.0, 101.0)
    without = draw_in_proportion(weights, 60, seed=2, replace=False)
    assert len(set(without.tolist())) == 60
    assert len(set(draw_in_proportion(weights, 60, seed=2).tolist())) < 60


def test_the_first_draw_without_replacement_is_in_proportion():
    first = np.array([draw_in_proportion(WEIGHTS, 2, seed, replace=False)[0] for seed in range(3000)])
    assert chi_square(first, WEIGHTS) < 16.3


def test_all_rows_with_a_weight_can_be_drawn_and_no_more():
    assert sorted(draw_in_proportion(WEIGHTS, 4, seed=0, replace=False).tolist()) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="5 rows cannot be drawn of 4"):
        draw_in_proportion(WEIGHTS, 5, seed=0, replace=False)


def test_the_same_seed_draws_the_same():
    assert draw_in_proportion(WEIGHTS, 9, 3).tolist() == draw_in_proportion(WEIGHTS, 9, 3).tolist()
    assert draw_in_proportion(WEIGHTS, 9, 3).tolist() != draw_in_proportion(WEIGHTS, 9, 4).tolist()
    assert draw_in_proportion(WEIGHTS[:0], 0, 3).tolist() == []


@pytest.mark.parametrize("weights", [[1.0, -1.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match="finite and 0 or more"):
        draw_in_proportion(np.array(weights), 1, 0)


def test_no_weight_at_all_is_refused():
    with pytest.raises(ValueError, match="1 rows cannot be drawn of 0"):
        draw_in_proportion(np.zeros(3), 1, 0)
