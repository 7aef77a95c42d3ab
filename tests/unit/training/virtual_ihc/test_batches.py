"""Batches: from seed and epoch alone, two stains without regard for each other."""

import numpy as np
import pytest
import torch

from training.sets.patch_set import PatchSet
from training.virtual_ihc.batches import ImagePool, batch_count, draw_batches, to_bytes, to_float
from training.virtual_ihc.config import Config


def tiles(count: int, own: int = 0, side: int = 32) -> PatchSet:
    """Tiles whose every px says which tile it is; the last `own` are no phantoms."""
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, side, side, 3)).copy()
    names, numbers = np.full(count, "a"), np.zeros(count)
    synthetic = np.arange(count) < count - own
    return PatchSet(pixels, np.zeros(count, np.int64), ("he", "ki67"), names, names, numbers, numbers, synthetic, 0.5)


def recipe(**fit) -> Config:
    own_share = fit.pop("own_share", 1.0)
    fields = {"batch": 2, "crop_px": 16} | fit
    return Config.model_validate({"fit": fields, "data": {"tile_px": 32, "own_share": own_share}})


def numbers(config: Config, epoch: int, he: PatchSet, ki67: PatchSet) -> list[list[int]]:
    """Which tiles came, of both stains."""
    batches = list(draw_batches(config, he, ki67, epoch))
    return [[int(n) for batch in batches for n in to_bytes(batch[i])[:, 0, 0, 0]] for i in range(2)]


def test_an_epoch_is_the_same_again_and_another_is_not():
    config, sets = recipe(), (tiles(8), tiles(8))
    one, again, other = (list(draw_batches(config, *sets, epoch)) for epoch in (1, 1, 2))
    assert all(torch.equal(a, b) for x, y in zip(one, again, strict=True) for a, b in zip(x, y, strict=True))
    assert numbers(config, 1, *sets) != numbers(config, 2, *sets)
    assert one[0][0].shape == (2, 3, 16, 16)
    assert len(one) == len(other) == 4


def test_stains_are_drawn_without_regard():
    he, ki67 = numbers(recipe(), 0, tiles(8), tiles(8))
    assert sorted(he) == sorted(ki67) == list(range(8))
    assert he != ki67


def test_an_epoch_is_as_long_as_the_smaller_set_or_as_told():
    assert batch_count(recipe(), tiles(9), tiles(5)) == 2
    assert batch_count(recipe(steps=7), tiles(9), tiles(5)) == 7
    assert len(numbers(recipe(steps=7), 0, tiles(9), tiles(5))[1]) == 14


@pytest.mark.parametrize(("share", "expected"), [(1.0, 20), (0.25, 5), (0.0, 0)])
def test_own_slides_have_their_share(share, expected):
    config = recipe(steps=10, own_share=share)
    he, ki67 = numbers(config, 0, tiles(6, own=2), tiles(6))
    assert sum(n >= 4 for n in he) == expected
    assert len(ki67) == 20, "a stain without slides of one's own takes phantoms"


def test_own_slides_alone_need_no_phantom():
    he, _ = numbers(recipe(steps=3, own_share=0.5), 0, tiles(4, own=4), tiles(4))
    assert len(he) == 6


def test_bytes_there_and_back():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    floats = to_float(values)
    assert (float(floats.min()), float(floats.max())) == (-1, 1)
    assert np.array_equal(to_bytes(floats), values)


def test_mirrors_and_turns_change_places_and_not_values():
    gradient = tiles(4)
    gradient.pixels[:] = np.arange(32, dtype=np.uint8)[None, :, None, None]
    seen = list(draw_batches(recipe(crop_px=32, steps=8), gradient, gradient, 0))
    kinds = {tuple(np.sign(np.diff(t[:, 0, 0].astype(int))[:1]).tolist()) for b in seen for t in to_bytes(b[0])}
    assert kinds == {(1,), (-1,), (0,)}
    still = list(draw_batches(recipe(crop_px=32, steps=2, mirror=False), gradient, gradient, 0))
    assert all(np.array_equal(t, gradient.pixels[0]) for b in still for t in to_bytes(b[0]))


def test_a_pool_shows_older_images_and_none_shows_the_batch():
    batches = [torch.full((2, 1), float(i)) for i in range(30)]
    assert all(ImagePool(0, 1).swapped(batch) is batch for batch in batches)
    pool = ImagePool(4, 1)
    shown = [pool.swapped(batch) for batch in batches]
    assert torch.equal(shown[0], batches[0])
    old = sum(float(image) < i for i, batch in enumerate(shown) for image in batch)
    assert 15 <= old <= 45
    again = ImagePool(4, 1)
    assert all(torch.equal(a, again.swapped(b)) for a, b in zip(shown, batches, strict=True))


def test_a_blank_corner_is_not_learned_from():
    he = tiles(4)
    he.pixels[:] = 240
    he.pixels[:, :, 24:] = np.random.default_rng(3).integers(0, 255, he.pixels[:, :, 24:].shape)
    config = recipe(crop_px=16, steps=8, mirror=False)
    shown = [tile for batch in draw_batches(config, he, he, 0) for tile in to_bytes(batch[0])]
    assert all(tile.std() > 16 for tile in shown)
