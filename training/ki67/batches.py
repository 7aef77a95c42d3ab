"""Batches of changed patches, all drawn from seed and epoch: a resumed run sees what an undisturbed one sees."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from training.augment.hed import hed_jitter
from training.augment.optics import halve_resolution
from training.ki67.config import AugmentConfig, Config
from training.sets.patch_set import PatchSet
from training.sets.sampling import balanced_batches


def batch_count(patches: PatchSet, batch: int) -> int:
    """Batches of an epoch: every patch once, the last batch as small as it comes, but never one patch alone."""
    whole, rest = divmod(len(patches), batch)
    return whole + (rest > 1)


def draw_batches(patches: PatchSet, config: Config, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The epoch's batches: images (N, 3, P, P) in 0..1, changed, and labels (N,).

    Every patch comes once, in an order of its own in every epoch; balanced, those of the smallest class come again.
    """
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    count, batch = batch_count(patches, config.loop.batch), config.loop.batch
    if config.balanced:
        chosen = balanced_batches(patches.labels, batch, config.seed, epoch, count)
    else:
        order = np.random.default_rng([config.seed, epoch]).permutation(len(patches))
        chosen = iter([order[start : start + batch] for start in range(0, count * batch, batch)])
    for rows in chosen:
        yield change(images_of(patches, rows), config.augment, generator), torch.from_numpy(patches.labels[rows])


def images_of(patches: PatchSet, rows: NDArray[np.integer] | slice) -> Tensor:
    """Patches as images (N, 3, P, P) of 0..1."""
    pixels = torch.from_numpy(np.array(patches.pixels[rows]))
    return pixels.permute(0, 3, 1, 2).float() / 255


def change(images: Tensor, augment: AugmentConfig, generator: Generator) -> Tensor:
    """The images mirrored at random, and whatever else the recipe asks for; `shift_px` less on every side."""
    images = _mirrored(_shifted(images, augment.shift_px, generator), generator)
    if augment.turn:
        images = _turned(images, generator)
    if augment.stain_sigma:
        images = hed_jitter(images, augment.stain_sigma, generator)
    if augment.brightness:
        light = 1 + augment.brightness * (2 * torch.rand((len(images), 1, 1, 1), generator=generator) - 1)
        images = (images * light).clamp(0, 1)
    if augment.halved:
        images = halve_resolution(images, augment.halved, generator)
    return images


def central(images: Tensor, shift_px: int) -> Tensor:
    """The images as they are seen in use: in the middle, unchanged."""
    return images[:, :, shift_px : images.shape[2] - shift_px, shift_px : images.shape[3] - shift_px]


def _shifted(images: Tensor, shift_px: int, generator: Generator) -> Tensor:
    if not shift_px:
        return images
    starts = torch.randint(0, 2 * shift_px + 1, (len(images), 2), generator=generator).tolist()
    side = images.shape[-1] - 2 * shift_px
    return torch.stack([image[:, y : y + side, x : x + side] for image, (x, y) in zip(images, starts, strict=True)])


def _mirrored(images: Tensor, generator: Generator) -> Tensor:
    """Each image mirrored left to right with a chance of one half, and top to bottom with another."""
    draws = torch.rand((2, len(images), 1, 1, 1), generator=generator) < 0.5
    images = torch.where(draws[0], images.flip(3), images)
    return torch.where(draws[1], images.flip(2), images)


def _turned(images: Tensor, generator: Generator) -> Tensor:
    """A quarter turn, or none, with a chance of one half: with the mirrors all eight positions are as likely."""
    chosen = torch.rand((len(images), 1, 1, 1), generator=generator) < 0.5
    return torch.where(chosen, images.transpose(2, 3), images)
