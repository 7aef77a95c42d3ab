"""Batches: every patch once, changed as the recipe says and no further."""

import numpy as np
import torch

from tests.unit.training.ki67.test_recipe import recipe
from training.ki67.batches import batch_count, central, change, draw_batches
from training.ki67.config import CLASSES, AugmentConfig
from training.sets.patch_set import PatchSet


def patches(count: int, side_px: int = 4) -> PatchSet:
    """Patch i is of the grey i everywhere but for one corner, so that it can be told in any position."""
    pixels = np.repeat(np.arange(count, dtype=np.uint8), side_px * side_px * 3).reshape(count, side_px, side_px, 3)
    pixels[:, 0, 1] += 100
    names = np.array([f"case-{i % 5}" for i in range(count)])
    zeros = np.zeros(count)
    labels = np.arange(count, dtype=np.int64) % 3
    return PatchSet(pixels, labels, CLASSES, names, names, zeros, zeros, zeros > 0, 0.25)


def greys(images: torch.Tensor) -> list[int]:
    return (images.flatten(1).min(1).values * 255).round().int().tolist()


def test_an_epoch_shows_every_patch_once_and_each_epoch_in_another_order():
    recipe_of_four = recipe(loop=recipe().loop.model_dump() | {"batch": 8})
    epochs = [list(draw_batches(patches(30), recipe_of_four, epoch)) for epoch in (0, 1, 0)]
    assert [len(labels) for _, labels in epochs[0]] == [8, 8, 8, 6]
    shown = [[grey for images, _ in epoch for grey in greys(images)] for epoch in epochs]
    assert sorted(shown[0]) == list(range(30))
    assert shown[0] == shown[2] != shown[1]
    for images, labels in epochs[0]:
        assert labels.tolist() == [grey % 3 for grey in greys(images)]


def test_a_patch_alone_is_no_batch():
    # Batch normalisation over a single patch of few features has no spread.
    assert [batch_count(patches(count), 8) for count in (16, 17, 18)] == [2, 2, 3]


def test_the_paper_mirrors_and_does_nothing_else():
    images = torch.rand((64, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    changed = change(images, recipe().augment, torch.Generator().manual_seed(2))
    ways = torch.stack([images, images.flip(3), images.flip(2), images.flip(2, 3)])
    which = (ways == changed).flatten(2).all(2)
    assert which.any(0).all()
    assert (which.sum(1) >= 6).all()


def test_turns_give_all_eight_positions():
    image = torch.arange(9.0).reshape(1, 1, 3, 3).expand(200, 3, 3, 3) / 9
    changed = change(image, AugmentConfig(turn=True), torch.Generator().manual_seed(2))
    assert len({tuple(one.flatten().tolist()) for one in changed}) == 8


def test_shifted_crops_lie_inside_and_use_sees_the_middle():
    images = torch.arange(64.0).reshape(1, 1, 8, 8).expand(400, 3, 8, 8) / 64
    changed = change(images, AugmentConfig(shift_px=2), torch.Generator().manual_seed(2))
    assert changed.shape == (400, 3, 4, 4)
    assert len({float(one.min()) for one in changed}) == 25
    assert torch.equal(central(images, 2), images[:, :, 2:6, 2:6])


def test_options_beyond_the_paper_change_colours():
    images = torch.full((8, 3, 4, 4), 0.5)
    for option in ({"stain_sigma": 0.05}, {"brightness": 0.2}):
        changed = change(images, AugmentConfig(**option), torch.Generator().manual_seed(2))
        assert not torch.allclose(changed, images, atol=1e-3)
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


def test_balanced_batches_hold_as_many_of_each_class():
    skewed = patches(30).take(np.array([0, 1, 2, *range(3, 30, 3)]))
    balanced = recipe(balanced=True, loop=recipe().loop.model_dump() | {"batch": 6})
    for _, labels in draw_batches(skewed, balanced, 0):
        assert torch.bincount(labels).tolist() == [2, 2, 2]
