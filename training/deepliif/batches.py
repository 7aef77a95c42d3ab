"""Batches of panels as tensors in -1..1, from seed and epoch alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.colour import from_density, optical_density
from training.deepliif.config import MODALITIES, AugmentConfig, Modality
from training.deepliif.masks import Picture
from training.deepliif.panels import NAMES
from training.deepliif.store import PictureSet

IHC, SEG = slice(0, 3), slice(3 * NAMES.index("seg"), 3 * NAMES.index("seg") + 3)
Batch = tuple[Tensor, ...]
"""IHC (N, 3, S, S), modalities (N, 3 M, S, S), mask (N, 3, S, S), and bool (N,): whether there are modalities."""


@dataclass(frozen=True)
class Feed:
    """How batches are drawn."""

    sets: tuple[PictureSet, ...]
    modalities: tuple[Modality, ...]
    augment: AugmentConfig
    seed: int
    batch: int
    pictures: int = 0
    """Of an epoch; 0 is all."""

    @property
    def batches_per_epoch(self) -> int:
        """A last batch that is not full is left out."""
        return self._pictures // self.batch

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, in a drawn order.

        Raises
        ------
        ValueError
            There are fewer pictures than a batch takes.
        """
        if not self.batches_per_epoch:
            raise ValueError(f"{self._all} pictures do not fill a batch of {self.batch}")
        order = np.random.default_rng((self.seed, epoch)).permutation(self._all)
        for first in range(0, self.batches_per_epoch * self.batch, self.batch):
            chosen = order[first : first + self.batch]
            yield self.batch_of(chosen.tolist(), epoch)

    def batch_of(self, chosen: Sequence[int], epoch: int | None = None) -> Batch:
        """The batch of these pictures; as they are where no epoch is given."""
        channels, has = [], []
        for index in chosen:
            pictures, row = self._find(index)
            panels = np.asarray(pictures.pictures[row])
            if epoch is not None:
                panels = augmented(panels, self.augment, np.random.default_rng((self.seed, epoch, index, 1)))
            channels.append(panels)
            has.append(pictures.rows[row].has_modalities)
        whole = to_tensor(np.stack(channels))
        parts = [whole[:, panel_channels(name)] for name in self.modalities]
        modalities = torch.cat(parts, 1) if parts else whole[:, :0]
        return whole[:, IHC], modalities, whole[:, SEG], torch.tensor(has)

    @property
    def _all(self) -> int:
        return sum(map(len, self.sets))

    @property
    def _pictures(self) -> int:
        return min(self._all, self.pictures or self._all)

    def _find(self, index: int) -> tuple[PictureSet, int]:
        for pictures in self.sets:
            if index < len(pictures):
                return pictures, index
            index -= len(pictures)
        raise IndexError(index)


def panel_channels(name: Modality) -> slice:
    """Where a modality's channels lie among the panels'."""
    start = 3 * (1 + MODALITIES.index(name))
    return slice(start, start + 3)


def to_tensor(channels: Picture) -> Tensor:
    """Bytes (N, H, W, C) as float32 (N, C, H, W) in -1..1, operation by operation as the networks are used."""
    return (torch.from_numpy(channels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def augmented(panels: Picture, augment: AugmentConfig, generator: np.random.Generator) -> Picture:
    """All panels mirrored and turned alike; the IHC alone in other colours, light and sharpness."""
    if augment.turn:
        panels = np.rot90(panels, int(generator.integers(4)))
        panels = panels[:, ::-1] if generator.random() < 0.5 else panels
    panels = np.array(panels)
    panels[..., IHC] = _stained(panels[..., IHC], augment, generator)
    return panels


def _stained(ihc: Picture, augment: AugmentConfig, generator: np.random.Generator) -> Picture:
    factors = np.exp(augment.density * generator.normal(size=3)).astype(np.float32)
    light = 1 + augment.light * generator.uniform(-1, 1)
    spread = augment.blur_px * generator.uniform() if generator.random() < 0.5 else 0.0
    if augment.density or augment.light:
        ihc = from_density(optical_density(ihc) * factors - np.float32(np.log(light)))
    if spread > 0:
        blurred: NDArray[np.float32] = ndimage.gaussian_filter(ihc.astype(np.float32), (spread, spread, 0))
        ihc = blurred.round().astype(np.uint8)
    return ihc
