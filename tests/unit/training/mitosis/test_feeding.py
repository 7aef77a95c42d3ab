"""Balanced batches, hard negatives in proportion to their probability, soft targets."""

import math

import numpy as np
import pytest
import torch

from tests.unit.training.mitosis.made import made_fold, made_patches
from training.augment.chain import AugmentConfig
from training.loop.config import experiment_path, rate_at
from training.mitosis.chain import hard_negatives
from training.mitosis.config import EXPERIMENTS, Config, RealShare
from training.mitosis.feeding import Feed, Pools, draw_rows, soft_cross_entropy, two_columns


def pools(patches):
    rows = np.arange(len(patches))
    return Pools.of(patches, rows, rows[patches.labels == 0])


def test_batches_are_balanced_by_class_and_origin():
    patches = made_patches(positives=6, negatives=30)
    for rows in draw_rows(pools(patches), 16, 5, RealShare(), [1, 0]):
        assert patches.labels[rows].sum() == 8
        assert patches.synthetic[rows].sum() == 8


def test_the_share_of_real_patches_is_kept_to():
    patches = made_patches(positives=6, negatives=30)
    (rows,) = draw_rows(pools(patches), 16, 1, RealShare(positives=0.75, negatives=0.25), [1, 0])
    real = ~patches.synthetic[rows]
    assert (real & (patches.labels[rows] == 1)).sum() == 6
    assert (real & (patches.labels[rows] == 0)).sum() == 2


def test_every_row_comes_before_one_comes_again():
    patches = made_patches(positives=8, negatives=32)
    rows = np.concatenate([*draw_rows(pools(patches), 16, 2, RealShare(), [3, 0])])
    positives = rows[patches.labels[rows] == 1]
    assert np.bincount(positives)[patches.labels[: positives.max() + 1] == 1].tolist() == [2] * 8


def test_epochs_differ_and_repeat_for_the_same_seed():
    patches = made_patches()
    own = pools(patches)
    first, again, other = (next(iter(draw_rows(own, 8, 3, RealShare(), [1, e]))).tolist() for e in (0, 0, 1))
    assert first == again != other


def test_one_class_alone_is_refused():
    patches = made_patches(positives=0)
    with pytest.raises(ValueError, match="both classes"):
        pools(patches)


def test_hard_negatives_come_in_proportion_to_their_probability():
    fold = made_fold(hard_negatives=40_000, real_share={"positives": 0.9, "negatives": 0.5})
    scores = np.where(np.arange(len(fold.negatives)) % 4 == 0, 0.6, 0.1)
    drawn = hard_negatives(fold, scores, 0)
    assert len(drawn) == 40_000
    counts = np.bincount(drawn, minlength=len(fold.patches))[fold.negatives]
    synthetic = fold.patches.synthetic[fold.negatives]
    assert counts[synthetic].sum() == counts[~synthetic].sum() == 20_000
    for kind in (False, True):
        own = synthetic == kind
        wanted = 20_000 * scores[own] / scores[own].sum()
        assert np.abs(counts[own] - wanted).max() < 5 * math.sqrt(wanted.max())


def test_every_network_draws_its_own_hard_negatives_with_replacement():
    fold = made_fold(hard_negatives=200)
    scores = np.full(len(fold.negatives), 0.5)
    first, second = (hard_negatives(fold, scores, index) for index in (0, 1))
    assert len(set(first.tolist())) < len(first)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, hard_negatives(fold, scores, 0))


def test_a_soft_target_is_learnt_as_a_probability():
    # Cross entropy against 0.3 is least where the network says 0.3, and is then the entropy of 0.3.
    logits = torch.zeros((1, 2, 1, 1), requires_grad=True)
    targets = two_columns(np.array([0.3]))
    value = soft_cross_entropy(logits, targets)
    assert value.item() == pytest.approx(math.log(2))
    value.backward()
    assert logits.grad.flatten().tolist() == pytest.approx([0.5 - 0.7, 0.5 - 0.3])
    best = torch.tensor([math.log(0.7), math.log(0.3)]).reshape(1, 2, 1, 1)
    entropy = -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    assert soft_cross_entropy(best, targets).item() == pytest.approx(entropy)


def test_a_hard_target_is_the_usual_loss():
    logits = torch.tensor([[1.0, 3.0]]).reshape(1, 2, 1, 1)
    wanted = -math.log(math.exp(3) / (math.exp(1) + math.exp(3)))
    assert soft_cross_entropy(logits, two_columns(np.array([1.0]))).item() == pytest.approx(wanted)


def test_a_feed_gives_crops_and_the_targets_of_its_rows():
    patches = made_patches(size=16)
    targets = np.linspace(0, 1, len(patches))
    feed = Feed(
        patches,
        targets,
        pools(patches),
        8,
        2,
        RealShare(),
        AugmentConfig(letters="", shift_px=0),
        10,
        5,
        torch.device("cpu"),
    )
    batches = list(feed.epoch(0))
    assert [tuple(images.shape) for images, _ in batches] == [(8, 3, 10, 10)] * 2
    # The colour of a made patch tells its row.
    rows = (batches[0][0][:, 0, 5, 5] * 255).round().long().numpy()
    assert batches[0][1][:, 1].tolist() == pytest.approx(targets[rows].tolist(), abs=1e-6)
    again = next(iter(feed.epoch(0)))
    assert torch.equal(again[0], batches[0][0])


def test_the_papers_schedule_begins_and_ends_where_it_says():
    import tomllib

    config = Config.model_validate(tomllib.loads(experiment_path(EXPERIMENTS, "paper").read_text()))
    loop = config.loop_of("cnn3")
    assert rate_at(loop, 0) == pytest.approx(1e-3)
    assert rate_at(loop, 20) == pytest.approx(3e-5)
    assert rate_at(loop, 10) == pytest.approx(math.sqrt(1e-3 * 3e-5))
    assert (loop.batch, loop.weight_decay, config.k, config.cnn3.gamma, config.cnn5.gamma) == (64, 1e-5, 10, 1.0, 0.6)
    assert (config.candidates.diameter_px, config.candidates.threshold) == (100, 0.6)
    assert config.augment == AugmentConfig()
