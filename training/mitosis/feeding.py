"""What a network is shown: balanced batches of augmented patches, the same for the same seed and epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.augment.chain import AugmentConfig, augment, middle
from training.mitosis.config import RealShare
from training.sets.patch_set import PatchSet

Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]
SCORING_BATCH = 64


@dataclass(frozen=True, eq=False)
class Pools:
    """Rows of a patch set that batches are drawn from; a row may be in a pool more than once."""

    positive_real: Rows
    positive_synthetic: Rows
    negative_real: Rows
    negative_synthetic: Rows

    @staticmethod
    def of(patches: PatchSet, rows: Rows, negatives: Rows) -> "Pools":
        """All positives of `rows`, and these negatives.

        Raises
        ------
        ValueError
            One of the two classes is empty.
        """
        positives = rows[patches.labels[rows] == 1]
        if not len(positives) or not len(negatives):
            raise ValueError(
                f"training needs patches of both classes, here are {len(positives)} with and "
                f"{len(negatives)} without a mitosis: add images or lower the candidate detector's threshold"
            )
        drawn = patches.synthetic
        return Pools(
            positives[~drawn[positives]],
            positives[drawn[positives]],
            negatives[~drawn[negatives]],
            negatives[drawn[negatives]],
        )


@dataclass(frozen=True, eq=False)
class Feed:
    """Batches of one network: patches, the target of each row, and how rows are drawn and changed."""

    patches: PatchSet
    targets: Numbers
    """Probability of a mitosis for every row: 0 or 1, or what an ensemble said."""
    pools: Pools
    batch: int
    batches: int
    real_share: RealShare
    augment: AugmentConfig
    crop_px: int
    seed: int
    device: torch.device

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(images (N, 3, P, P), targets (N, 2)) of an epoch, from the seed and the epoch alone."""
        for step, rows in enumerate(
            draw_rows(self.pools, self.batch, self.batches, self.real_share, [self.seed, epoch])
        ):
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) * 100_003 + step)
            images = augment(to_images(self.patches.pixels[rows], self.device), self.crop_px, self.augment, generator)
            yield images.contiguous(memory_format=torch.channels_last), two_columns(self.targets[rows]).to(self.device)


def draw_rows(pools: Pools, batch: int, batches: int, real_share: RealShare, seed: list[int]) -> Iterator[Rows]:
    """Rows of balanced batches: half with a mitosis, half without, of each half a share real where there is both.

    Every pool is gone through in a shuffled order before a row of it comes again.
    """
    generator = np.random.default_rng(seed)
    positive, half = batch // 2, batch - batch // 2
    wanted = [*_shares(pools.positive_real, pools.positive_synthetic, positive, real_share.positives)]
    wanted += _shares(pools.negative_real, pools.negative_synthetic, half, real_share.negatives)
    all_pools = (pools.positive_real, pools.positive_synthetic, pools.negative_real, pools.negative_synthetic)
    drawn = [
        _cycled(pool, count * batches, generator).reshape(batches, count)
        for pool, count in zip(all_pools, wanted, strict=True)
    ]
    for step in range(batches):
        yield np.concatenate([rows[step] for rows in drawn])


def to_images(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (N, H, W, 3) as float (N, 3, H, W) in 0..1."""
    return torch.from_numpy(np.array(pixels)).to(device).permute(0, 3, 1, 2).float().div_(255).contiguous()


def two_columns(probability: Numbers) -> Tensor:
    """Probabilities of "none" and "mitosis", float32 (N, 2)."""
    mitosis = torch.from_numpy(np.asarray(probability, np.float32))
    return torch.stack([1 - mitosis, mitosis], 1)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -sum(target * log softmax(logits)): for targets of 0 and 1 the usual loss, for others distillation.

    Parameters
    ----------
    logits
        (N, 2, 1, 1).
    targets
        (N, 2), rows sum to 1.

    References
    ----------
    Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, arXiv:1503.02531.
    """
    return F.cross_entropy(logits.flatten(1), targets)


def patch_probabilities(net: torch.nn.Module, patches: PatchSet, rows: Rows, crop_px: int) -> Numbers:
    """The probability of a mitosis for the middle of each of these patches, float64 (n,)."""
    device = next(net.parameters()).device
    found = [np.zeros(0)]
    with torch.inference_mode():
        for start in range(0, len(rows), SCORING_BATCH):
            images = middle(to_images(patches.pixels[rows[start : start + SCORING_BATCH]], device), crop_px)
            logits = net(images.contiguous(memory_format=torch.channels_last)).flatten(1).double()
            found.append(torch.softmax(logits, 1)[:, 1].cpu().numpy())
    return np.concatenate(found)


def _shares(real: Rows, synthetic: Rows, count: int, real_share: float) -> tuple[int, int]:
    if not len(real) or not len(synthetic):
        return (count, 0) if len(real) else (0, count)
    own = round(real_share * count)
    return own, count - own


def _cycled(pool: Rows, count: int, generator: np.random.Generator) -> Rows:
    rounds = -(-count // max(1, len(pool)))
    orders = [generator.permutation(pool) for _ in range(rounds)]
    return np.concatenate([pool[:0], *orders])[:count]
