"""Training of the Ki-67 network: one run for each fold, and the final one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from models.registry import read_package
from training.ki67.batches import batch_count, central, draw_batches, images_of
from training.ki67.config import CLASSES, Config
from training.ki67.data import TEST, TRAIN, read_part
from training.loop.config import digest_of
from training.loop.fit import Fitting, fit, load_weights
from training.metrics.classification import accuracy, confusion_matrix
from training.nets.resnet18 import Ki67Net, load_imagenet, read_tensors
from training.sets.patch_set import PatchSet
from training.sets.splits import case_folds, check_split

WEIGHTS = "weights.npz"
VALIDATE_BATCH = 256
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Start:
    """What a network starts from; He's random weights where neither is named."""

    imagenet: Path | None = None
    """ResNet18's ImageNet weights, as the paper starts."""
    package: Path | None = None
    """The folder of a package to go on from; all its weights are taken."""

    def digest(self) -> str:
        """SHA-256 over the bytes of the file."""
        if self.imagenet and self.package:
            raise ValueError("a network starts from ImageNet's weights or from a package, not from both")
        file = self.imagenet or (self.package / WEIGHTS if self.package else None)
        return digest_of("random" if file is None else file.read_bytes().hex())


def train(config: Config, work_dir: Path, fold: int | None, start: Start, tell: Callable[[str], None]) -> Path:
    """The file of weights of a run: of a fold, which it holds out of the training cases, or of the final network.

    A fold is validated on the cases it holds out, the final network on the test cases; neither is chosen by that: the
    last epoch is kept, as in the paper. An interrupted run goes on and ends with the same weights.

    Raises
    ------
    FileNotFoundError
        `prepare` was not run.
    ValueError
        A case is in both parts, or a checkpoint belongs to another recipe.
    """
    training, held_out = parts_of(config, work_dir, fold)
    check_split(training, held_out)
    torch.manual_seed(config.seed + (0 if fold is None else 1 + fold))
    net = started(Ki67Net(config.width, len(CLASSES)), start, tell)
    loop = config.loop_of(fold)
    fitting = Fitting(
        name=run_name(fold),
        folder=work_dir / run_name(fold),
        digest=digest_of(config.digest(), training.digest(), start.digest()),
        seed=config.seed,
        loop=loop,
        device=config.device,
        batches=lambda epoch: draw_batches(training, config, epoch),
        batches_per_epoch=batch_count(training, loop.batch),
        loss=F.cross_entropy,
        validate=lambda trained: _validate(trained, held_out, config),
    )
    return fit(net, fitting)


def run_name(fold: int | None) -> str:
    """The folder of a run."""
    return "final" if fold is None else f"fold-{fold}"


def parts_of(config: Config, work_dir: Path, fold: int | None) -> tuple[PatchSet, PatchSet]:
    """The patches a run is trained on, and those it is validated on."""
    training = read_part(config, work_dir, TRAIN)
    if fold is None:
        return training, read_part(config, work_dir, TEST)
    folds = case_folds(training.cases, config.data.folds, config.seed)
    return training.take(folds != fold), training.take(folds == fold)


def started(net: Ki67Net, start: Start, tell: Callable[[str], None]) -> Ki67Net:
    """The network with the weights that it starts from, and a word on what was taken."""
    if start.imagenet is not None:
        taken = load_imagenet(net, start.imagenet)
        tell(f"{len(taken)} tensors of ImageNet's weights taken from {start.imagenet.name}, all but fc")
    elif start.package is not None:
        package = read_package(start.package)
        net.load_state_dict(dict(read_tensors(start.package / WEIGHTS)))
        tell(f"all weights taken from {package.manifest.reference}")
    else:
        tell("random weights: no file of ImageNet's weights was given")
    return net


def trained(config: Config, work_dir: Path, fold: int | None) -> Ki67Net:
    """The network of a finished run, in eval mode.

    Raises
    ------
    FileNotFoundError
        The run has not ended.
    """
    path = work_dir / run_name(fold) / "weights.pt"
    if not path.exists():
        raise FileNotFoundError(
            f"the run {run_name(fold)} has not ended: `train --fold {fold if fold is not None else 'final'}`"
        )
    net = Ki67Net(config.width, len(CLASSES))
    load_weights(net, path)
    return net


def patch_logits(net: nn.Module, patches: PatchSet, shift_px: int) -> Logits:
    """Logits (N, classes) of patches as they are, batch by batch."""
    device = next(net.parameters()).device
    found = []
    with torch.no_grad():
        for first in range(0, len(patches), VALIDATE_BATCH):
            images = central(images_of(patches, slice(first, first + VALIDATE_BATCH)), shift_px)
            found.append(net(images.to(device)).float().cpu())
    return np.asarray(torch.cat(found).numpy(), np.float32)


def _validate(net: nn.Module, held_out: PatchSet, config: Config) -> dict[str, float]:
    predicted = patch_logits(net, held_out, config.augment.shift_px).argmax(1)
    return {"accuracy": accuracy(confusion_matrix(held_out.labels, predicted, len(CLASSES)))}
