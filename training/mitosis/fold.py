"""A fold opened: its rows of the patch set, and the networks that are trained on them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.loop.config import DeviceConfig
from training.mitosis.config import Config, StageConfig, StageKind
from training.mitosis.feeding import Rows
from training.mitosis.parts import Parts, parts_of
from training.mitosis.prepare import Prepared
from training.mitosis.validation import choose_rows
from training.nets.all_convolutional import MitosisNet
from training.sets.patch_set import COLUMNS, PatchSet
from training.sets.splits import check_split


@dataclass(frozen=True, eq=False)
class Fold:
    """A fold with its rows of the patch set."""

    name: str
    prepared: Prepared
    config: Config
    folder: Path
    parts: Parts
    train: Rows
    validation: Rows

    @property
    def patches(self) -> PatchSet:
        """All patches."""
        return self.prepared.patches

    @property
    def negatives(self) -> Rows:
        """Training rows without a mitosis."""
        rows: Rows = self.train[self.patches.labels[self.train] == 0]
        return rows


def open_fold(prepared: Prepared, config: Config, work_dir: Path, name: str) -> Fold:
    """The fold of that name; no patch of a test case is in its training or validation rows.

    Raises
    ------
    ValueError
        There is no such fold, or a case is on both sides.
    """
    parts = parts_of(prepared.images, prepared.test_phantoms, name, config)
    patches = prepared.patches
    train, validation, test = (_rows(patches, part) for part in (parts.train, parts.validation, parts.test))
    # Columns alone: pixels stay on disk.
    seen, held_out = (_without_pixels(patches, rows) for rows in (np.concatenate([train, validation]), test))
    check_split(seen, held_out)
    return Fold(name, prepared, config, work_dir / name, parts, train, choose_rows(patches, validation, config))


def network_names(config: Config) -> tuple[str, ...]:
    """Names of the networks of a fold, in the order they are trained."""
    names = {"cnn3": ("cnn3",), "cnn4": tuple(f"cnn4-{i}" for i in range(config.k)), "cnn5": ("cnn5",)}
    return tuple(name for stage in config.stages for name in names[stage])


def new_network(config: Config, stage: StageKind) -> nn.Module:
    """An untrained network of a stage, laid out as CPUs and GPUs convolve fastest."""
    own: StageConfig = getattr(config, stage)
    return MitosisNet(own.gamma, norm=config.norm).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def torch_device(device: DeviceConfig) -> torch.device:
    """Where patches are augmented: where the network is trained."""
    return torch.device("cuda" if device.accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def _rows(patches: PatchSet, images: Sequence[str]) -> Rows:
    return np.flatnonzero(np.isin(patches.images, images))


def _without_pixels(patches: PatchSet, rows: Rows) -> PatchSet:
    columns = {name: getattr(patches, name)[rows] for name in COLUMNS}
    pixels = np.zeros((len(rows), 0, 0, 3), np.uint8)
    return PatchSet(pixels=pixels, classes=patches.classes, mpp=patches.mpp, **columns)
