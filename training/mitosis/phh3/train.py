"""CNN1, which tells artefacts from cells, and CNN2, which tells mitoses from all else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.augment.chain import augment
from training.loop.config import digest_of
from training.loop.fit import Fitting, fit, load_weights
from training.mitosis.feeding import patch_probabilities, soft_cross_entropy, to_images, two_columns
from training.mitosis.phh3.config import Phh3Config
from training.mitosis.phh3.data import ARTEFACT, CLASSES, MITOSIS, Prepared
from training.mitosis.validation import best_f1
from training.nets.pooled import PooledNet
from training.sets.patch_set import PatchSet
from training.sets.sampling import balanced_batches
from training.sets.splits import split_by_case

NetName = Literal["cnn1", "cnn2"]
NAMES: tuple[NetName, ...] = ("cnn1", "cnn2")
LOSS_WEIGHT = 0.01
"""So little that the loss decides between epochs of the same F1 and no others."""
Rows = NDArray[np.int64]
Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Split:
    """Rows that are trained on and validated on; no case is in both."""

    train: Rows
    validation: Rows


def train_phh3(
    prepared: Prepared, config: Phh3Config, work_dir: Path, names: tuple[NetName, ...] = NAMES
) -> list[Path]:
    """The weights of CNN1 and CNN2, each of the epoch of the highest validation F1; resumes what was interrupted.

    Raises
    ------
    ValueError
        A class is missing.
    """
    return [_train(prepared, config, work_dir / name, name) for name in names]


def targets_of(patches: PatchSet, name: NetName) -> Rows:
    """0 or 1 for each patch: whether it is a cell (CNN1), whether it is a mitosis (CNN2).

    For CNN2 the negatives are the brown cells that are none and the artefacts, as in the paper.
    """
    mitosis, artefact = (patches.labels == CLASSES.index(kind) for kind in (MITOSIS, ARTEFACT))
    targets: Rows = (mitosis if name == "cnn2" else ~artefact).astype(np.int64)
    return targets


def split_of(prepared: Prepared, config: Phh3Config) -> Split:
    """Phantoms as the recipe names them; a user's own cases in the same shares (10 to 8 in the paper), by case."""
    patches, phantom = prepared.patches, config.phantom
    train = np.isin(patches.cases, prepared.part(phantom, "train"))
    validation = np.isin(patches.cases, prepared.part(phantom, "validation"))
    own = np.flatnonzero(~train & ~validation)
    if len(own):
        part = split_by_case(patches.cases[own], (phantom.train, phantom.validation), config.seed)
        train[own], validation[own] = part == 0, part == 1
    split = Split(np.flatnonzero(train), np.flatnonzero(validation))
    shared = set(patches.cases[split.train].tolist()) & set(patches.cases[split.validation].tolist())
    if shared:
        raise ValueError(f"the case {min(shared)!r} is in training and in validation: name its slides apart")
    return split


def new_net(config: Phh3Config) -> PooledNet:
    """A network of the recipe's size with chance weights."""
    return PooledNet(config.net.width, config.net.crop_px, norm=config.net.norm)


def load_nets(work_dir: Path, config: Phh3Config) -> dict[str, nn.Module]:
    """CNN1 and CNN2 with their trained weights.

    Raises
    ------
    FileNotFoundError
        One was not trained to its end.
    """
    for name in NAMES:
        if not (work_dir / name / "weights.pt").exists():
            raise FileNotFoundError(
                f"{name} has no weights in {work_dir}: run `train` with the same --experiment first"
            )
    return {name: load_weights(new_net(config), work_dir / name / "weights.pt") for name in NAMES}


def _train(prepared: Prepared, config: Phh3Config, folder: Path, name: NetName) -> Path:
    patches, targets, split = prepared.patches, targets_of(prepared.patches, name), split_of(prepared, config)
    for rows in (split.train, split.validation):
        if set(targets[rows].tolist()) != {0, 1}:
            raise ValueError(f"{name} needs candidates of both classes to train and to validate on: label more slides")
    torch.manual_seed(config.seed)
    net = new_net(config)
    count = config.net.steps or -(-len(split.train) // config.loop.batch)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        return _batches(patches, targets, split.train, config, (epoch, count))

    def validate(net: nn.Module) -> dict[str, float]:
        return _validate(net, patches, targets, split.validation, config.net.crop_px)

    return fit(
        net,
        Fitting(
            name=name,
            folder=folder,
            digest=digest_of(config.digest(), patches.digest(), name),
            seed=config.seed,
            loop=config.loop,
            device=config.device,
            batches=batches,
            batches_per_epoch=count,
            loss=soft_cross_entropy,
            validate=validate,
            keep="choice",
        ),
    )


def _batches(
    patches: PatchSet, targets: Rows, train: Rows, config: Phh3Config, turn: tuple[int, int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """(images, targets) of an epoch, as many of each class; `turn` is the epoch and its number of batches."""
    epoch, count = turn
    drawn = balanced_batches(targets[train], config.loop.batch, config.seed, epoch, count)
    for step, rows in enumerate(drawn):
        chosen = train[rows]
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + epoch) * 100_003 + step)
        images = to_images(patches.pixels[chosen], torch.device("cpu"))
        images = augment(images, config.net.crop_px, config.augment, generator)
        yield images.contiguous(memory_format=torch.channels_last), two_columns(targets[chosen].astype(np.float64))


def _validate(net: nn.Module, patches: PatchSet, targets: Rows, rows: Rows, crop_px: int) -> dict[str, float]:
    probability = patch_probabilities(net, patches, rows, crop_px)
    truth = targets[rows] == 1
    likelihood = np.where(truth, probability, 1 - probability)
    loss = float(-np.log(np.clip(likelihood, 1e-7, 1)).mean())
    f1 = best_f1(probability, truth)
    return {"choice": f1 - LOSS_WEIGHT * loss, "f1": f1, "loss_validation": loss}
