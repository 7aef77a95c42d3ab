"""The chain of a fold: CNN3 on easy patches, CNN4 on hard ones k times, CNN5 on what the CNN4 think."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.loop.config import DeviceConfig, digest_of
from training.loop.fit import Fitting, fit, load_weights
from training.mitosis.config import Config, StageConfig, StageKind
from training.mitosis.feeding import Feed, Numbers, Pools, Rows, patch_probabilities, soft_cross_entropy
from training.mitosis.folds import Parts, parts_of
from training.mitosis.prepare import Prepared
from training.mitosis.validation import choose_rows, validate_patches
from training.nets.all_convolutional import MitosisNet
from training.sets.patch_set import COLUMNS, PatchSet
from training.sets.sampling import draw_in_proportion
from training.sets.splits import check_split

LEAST_PROBABILITY = 1e-6
"""Added before negatives are drawn: even a network that is sure of everything leaves something to draw."""


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


def train_fold(fold: Fold, start: Path | None = None) -> Path:
    """The weights of the last network of the chain; goes on where an interrupted run stopped.

    Parameters
    ----------
    start
        `weights.npz` of a package: CNN3 begins with it rather than with chance, for fine-tuning.
    """
    config, patches = fold.config, fold.patches
    hard_labels = patches.labels.astype(np.float64)
    easy = Pools.of(patches, fold.train, fold.negatives)
    weights = cnn3 = _fit(fold, "cnn3", "cnn3", easy, hard_labels, start)
    if "cnn4" not in config.stages:
        return weights
    scores = stage_scores(fold, "cnn3", cnn3, fold.negatives)
    members = []
    for index in range(config.k):
        negatives = hard_negatives(fold, scores, index)
        hard = Pools.of(patches, fold.train, negatives)
        members.append(_fit(fold, f"cnn4-{index}", "cnn4", hard, hard_labels, cnn3))
    if "cnn5" not in config.stages:
        return members[-1]
    targets = hard_labels.copy()
    targets[fold.train] = soft_targets(fold, members)
    negatives = hard_negatives(fold, scores, config.k)
    hard = Pools.of(patches, fold.train, negatives)
    return _fit(fold, "cnn5", "cnn5", hard, targets, members[0])


def hard_negatives(fold: Fold, scores: Numbers, index: int) -> Rows:
    """Rows of negatives drawn with replacement, in proportion to the probability that CNN3 gives them (bagging).

    Real and synthetic ones are drawn apart, by `real_share`: else the easier source would fill the set.

    Parameters
    ----------
    scores
        One for each of `fold.negatives`.
    index
        Of the network; each draws its own.
    """
    config, synthetic = fold.config, fold.patches.synthetic[fold.negatives]
    kinds = [kind for kind in (False, True) if (synthetic == kind).any()]
    drawn = []
    for kind in kinds:
        share = 1.0 if len(kinds) == 1 else (1 - config.real_share if kind else config.real_share)
        own = fold.negatives[synthetic == kind]
        count, seed = round(share * config.hard_negatives), _seed(fold, f"hard-{index}-{kind}")
        if count:
            weights = scores[synthetic == kind] + LEAST_PROBABILITY
            drawn.append(own[draw_in_proportion(weights, count, seed, replace=True)])
    return np.concatenate(drawn)


def soft_targets(fold: Fold, members: Sequence[Path]) -> Numbers:
    """The mean over the ensemble of the probability of a mitosis, for every training row."""
    scores = [stage_scores(fold, f"cnn4-{i}", weights, fold.train) for i, weights in enumerate(members)]
    mean: Numbers = np.mean(scores, axis=0)
    return mean


def stage_scores(fold: Fold, name: str, weights: Path, rows: Rows) -> Numbers:
    """Probabilities that a trained network gives rows of the patch set; kept beside its weights for next time."""
    kept = fold.folder / name / "scores.npz"
    digest = digest_of(file_digest(weights), fold.prepared.patches_digest, hashlib.sha256(rows.tobytes()).hexdigest())
    if kept.exists():
        with np.load(kept, allow_pickle=False) as stored:
            if str(stored["digest"]) == digest:
                return np.array(stored["scores"])
    net = load_weights(new_network(fold.config, "cnn3" if name == "cnn3" else "cnn4"), weights)
    scores = patch_probabilities(_place(net, fold.config.device), fold.patches, rows, fold.config.data.crop_px)
    np.savez(kept, scores=scores, digest=np.array(digest))
    return scores


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


def _fit(fold: Fold, name: str, stage: StageKind, pools: Pools, targets: Numbers, before: Path | None) -> Path:
    """Train one network, or pick up or take what is there."""
    config, own = fold.config, getattr(fold.config, stage)
    is_start = stage == "cnn3" and before is not None
    seed = _seed(fold, name)
    torch.manual_seed(seed)
    net = new_network(config, stage)
    used = "" if before is None else file_digest(before)
    if before is not None and (own.warm or is_start):
        net.load_state_dict(read_start(before, net))
    feed = Feed(
        patches=fold.patches,
        targets=targets,
        pools=pools,
        batch=config.loop.batch,
        batches=max(1, own.draws // config.loop.batch),
        real_share=config.real_share,
        augment=config.augment,
        crop_px=config.data.crop_px,
        seed=seed,
        device=torch_device(config.device),
    )
    fitting = Fitting(
        name=f"{fold.name} {name}",
        folder=fold.folder / name,
        digest=digest_of(config.digest(), fold.prepared.patches_digest, fold.name, name, used),
        seed=seed,
        loop=config.loop_of(stage),
        device=config.device,
        batches=feed.epoch,
        batches_per_epoch=feed.batches,
        loss=soft_cross_entropy,
        validate=lambda model: validate_patches(model, fold.patches, fold.validation, config),
        keep="choice",
    )
    return fit(net, fitting)


def read_start(path: Path, net: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict in a `weights.pt` of a stage or a `weights.npz` of a package.

    Raises
    ------
    ValueError
        It is of a network of another width.
    """
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            state = {name: torch.from_numpy(np.array(stored[name], np.float32)) for name in stored.files}
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != shapes:
        raise ValueError(f"{path.name} is of a network of another width: give all stages the gamma it was trained with")
    return state


def _place(net: nn.Module, device: DeviceConfig) -> nn.Module:
    return net.to(torch_device(device))


def _seed(fold: Fold, name: str) -> int:
    return zlib.crc32(f"{fold.config.seed} {fold.name} {name}".encode()) % 1_000_000


def _rows(patches: PatchSet, images: Sequence[str]) -> Rows:
    return np.flatnonzero(np.isin(patches.images, images))


def _without_pixels(patches: PatchSet, rows: Rows) -> PatchSet:
    columns = {name: getattr(patches, name)[rows] for name in COLUMNS}
    pixels = np.zeros((len(rows), 0, 0, 3), np.uint8)
    return PatchSet(pixels=pixels, classes=patches.classes, mpp=patches.mpp, **columns)
