"""Normalisation of the published generators: one set of weights, three ways to take the statistics.

The generators of DeepLIIF were trained with batch normalisation on one tile at a time, and are used with the statistics
of that tile: the same as instance normalisation with weight and bias. `tile` does that for each sample on its own, so
that batches of any size give the same answers; under a `Tape` (`models.nets.frozen_norm`) the same layer takes
statistics that were fitted once per slide. `batch` is plain batch normalisation, for training.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from models.nets.frozen_norm import FrozenInstanceNorm2d

Norm = Literal["tile", "batch"]

EPSILON = 1e-5
UNUSED = ("running_mean", "running_var", "num_batches_tracked")
"""Parts of a batch norm's weights that the published networks never use."""


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """The normalisation of `channels` features, with weight and bias."""
    if norm == "batch":
        return nn.BatchNorm2d(channels, eps=EPSILON)
    return FrozenInstanceNorm2d(channels, eps=EPSILON, affine=True)


def without_running_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without the running statistics of batch norms, as `tile` networks load it."""
    return {key: value for key, value in state.items() if key.rpartition(".")[2] not in UNUSED}
