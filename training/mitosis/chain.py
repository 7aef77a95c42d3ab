"""The chain of a fold: CNN3 on easy patches, CNN4 on hard ones k times, CNN5 on what the CNN4 think."""

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.loop.config import digest_of
from training.loop.fit import Fitting, fit, load_weights
from training.mitosis.config import StageKind
from training.mitosis.feeding import Feed, Numbers, Pools, Rows, patch_probabilities, soft_cross_entropy
from training.mitosis.fold import Fold, file_digest, new_network, torch_device
from training.mitosis.mining import LEAST_PROBABILITY, with_mined
from training.mitosis.validation import validate_patches
from training.sets.sampling import draw_in_proportion


def train_fold(fold: Fold, start: Path | None = None) -> Path:
    """The weights of the last network of the chain; goes on where an interrupted run stopped.

    Parameters
    ----------
    start
        `weights.npz` of a package: CNN3 begins with it rather than with chance, for fine-tuning.
    """
    config = fold.config
    cnn3 = _fit(fold, "cnn3", "cnn3", Pools.of(fold.patches, fold.train, fold.negatives), hard_targets(fold), start)
    if "cnn4" not in config.stages:
        return cnn3
    fold = with_mined(fold, "cnn3", cnn3) if config.mined else fold
    scores = stage_scores(fold, "cnn3", cnn3, fold.negatives)
    pools = [Pools.of(fold.patches, fold.train, hard_negatives(fold, scores, index)) for index in range(config.k + 1)]
    members = [_fit(fold, f"cnn4-{i}", "cnn4", pools[i], hard_targets(fold), cnn3) for i in range(config.k)]
    if "cnn5" not in config.stages:
        return members[-1]
    return _fit(fold, "cnn5", "cnn5", pools[config.k], distilled_targets(fold, members), members[0])


def hard_targets(fold: Fold) -> Numbers:
    """0 or 1 for every row: what the marks say."""
    targets: Numbers = fold.patches.labels.astype(np.float64)
    return targets


def distilled_targets(fold: Fold, members: Sequence[Path]) -> Numbers:
    """What CNN5 learns for every training row: `soft_share` of the ensemble's mean, the rest of the marks' 0 or 1."""
    targets, share = hard_targets(fold), fold.config.soft_share
    targets[fold.train] = share * soft_targets(fold, members) + (1 - share) * targets[fold.train]
    return targets


def hard_negatives(fold: Fold, scores: Numbers, index: int) -> Rows:
    """Rows of negatives drawn with replacement, in proportion to the probability that CNN3 gives them (bagging).

    Real and synthetic ones are drawn apart, by the negatives' `real_share`: else the easier source would fill the set.

    Parameters
    ----------
    scores
        One for each of `fold.negatives`.
    index
        Of the network; each draws its own.
    """
    config, synthetic = fold.config, fold.patches.synthetic[fold.negatives]
    real = config.real_share.negatives
    kinds = [kind for kind in (False, True) if (synthetic == kind).any()]
    drawn = []
    for kind in kinds:
        share = 1.0 if len(kinds) == 1 else (1 - real if kind else real)
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
    scores = patch_probabilities(net.to(torch_device(fold.config.device)), fold.patches, rows, fold.config.data.crop_px)
    np.savez(kept, scores=scores, digest=np.array(digest))
    return scores


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


def _seed(fold: Fold, name: str) -> int:
    return zlib.crc32(f"{fold.config.seed} {fold.name} {name}".encode()) % 1_000_000
