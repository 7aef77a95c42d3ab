"""Batches of tiles of two stains that have nothing to do with each other, drawn from seed and epoch alone."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.sets.patch_set import PatchSet
from training.virtual_ihc.config import Config

Rows = NDArray[np.int64]
Bytes = NDArray[np.uint8]
CONTRAST, TRIES = 16.0, 8
"""A crop whose bytes deviate less than that is drawn again, so many times at most."""


def batch_count(config: Config, he: PatchSet, ki67: PatchSet) -> int:
    """Batches of an epoch."""
    return config.fit.steps or max(1, min(len(he), len(ki67)) // config.fit.batch)


def draw_batches(config: Config, he: PatchSet, ki67: PatchSet, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(H&E, Ki-67) of an epoch, each float32 (batch, 3, side, side) in -1..1; the two are drawn without regard."""
    count, size = batch_count(config, he, ki67), config.fit.batch
    generators = [np.random.default_rng([config.seed, epoch, number]) for number in (0, 1)]
    drawn = [_rows(tiles, count, config, generator) for tiles, generator in zip((he, ki67), generators, strict=True)]
    for first in range(0, count * size, size):
        one, other = (
            to_float(_changed(tiles, rows[first : first + size], config, generator))
            for tiles, rows, generator in zip((he, ki67), drawn, generators, strict=True)
        )
        yield one, other


def to_float(tiles: Bytes) -> Tensor:
    """Float32 (N, 3, H, W) in -1..1 of bytes (N, H, W, 3)."""
    return torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(images: Tensor) -> Bytes:
    """Bytes (N, H, W, 3) of images (N, 3, H, W) in -1..1."""
    scaled = ((images.detach().cpu().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(0, 2, 3, 1).numpy())


class ImagePool:
    """Images made before: every second image that is shown to a discriminator is an older one.

    References
    ----------
    Shrivastava et al., doi:10.1109/CVPR.2017.241; as Zhu et al. use it, doi:10.1109/ICCV.2017.244.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._kept: list[Tensor] = []
        self._generator = np.random.default_rng(seed)

    def swapped(self, images: Tensor) -> Tensor:
        """The batch, in which images were exchanged for older ones; as it is while the pool has no room."""
        if not self._size:
            return images
        shown = []
        for image in images:
            if len(self._kept) < self._size:
                self._kept.append(image)
                shown.append(image)
            elif self._generator.random() < 0.5:
                place = int(self._generator.integers(self._size))
                shown.append(self._kept[place])
                self._kept[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)


def _rows(tiles: PatchSet, count: int, config: Config, generator: np.random.Generator) -> Rows:
    """Which tiles come, in order: each kind goes once through all its tiles before any comes again."""
    kinds = [np.flatnonzero(tiles.synthetic), np.flatnonzero(~tiles.synthetic)]
    wanted = count * config.fit.batch
    own = wanted if not len(kinds[0]) else round(wanted * config.data.own_share) if len(kinds[1]) else 0
    drawn = [_cycled(kind, number, generator) for kind, number in zip(kinds, (wanted - own, own), strict=True)]
    return np.concatenate(drawn)[generator.permutation(wanted)]


def _cycled(rows: Rows, count: int, generator: np.random.Generator) -> Rows:
    if not count:
        return np.zeros(0, np.int64)
    turns = -(-count // len(rows))
    return np.concatenate([generator.permutation(rows) for _ in range(turns)])[:count]


def _changed(tiles: PatchSet, rows: Rows, config: Config, generator: np.random.Generator) -> Bytes:
    """The tiles at these rows, each cropped, mirrored and turned at random."""
    side = config.fit.crop_px or tiles.size_px
    found = np.empty((len(rows), side, side, 3), np.uint8)
    for place, row in enumerate(rows):
        tile = _cropped(tiles.pixels[row], side, generator)
        if config.fit.mirror:
            tile = np.rot90(tile, int(generator.integers(4)))
            tile = tile[:, ::-1] if generator.random() < 0.5 else tile
        found[place] = tile
    return found


def _cropped(tile: Bytes, side: int, generator: np.random.Generator) -> Bytes:
    """A square of the tile: of some places drawn at random the first that shows something, else the last.

    Instance norm makes a signal of a blank square's noise; over many layers its gradients are no numbers any more.
    """
    for _ in range(TRIES):
        y, x = generator.integers(len(tile) - side + 1, size=2)
        crop = tile[y : y + side, x : x + side]
        if side == len(tile) or crop.std() >= CONTRAST:
            break
    return crop
