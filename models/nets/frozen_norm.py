"""Instance normalisation whose statistics can be taken once per slide and held still, so that tiles do not show.

Instance norm (doi:10.48550/arXiv.1607.08022) normalises by mean and variance over the picture it is given. Run tile by
tile, each tile is normalised by itself and the seams show. Here the statistics are an input instead: a calibrator
computes them over a sample of the slide in one pass that normalises each layer by the sample's own statistics, as the
network would have done on the sample as one picture; the network then takes them for every tile.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.onnx_export import export_onnx


@dataclass
class Tape:
    """The statistics of one forward pass, layer after layer in order of execution.

    Each normalisation appends, or reads, its channels' means and then their variances: `[mean_1 (C1), var_1 (C1),
    mean_2 (C2), ...]`. A layer that runs twice has two places, as it sees two different inputs.
    """

    given: Tensor | None = None
    """Statistics to read, (length,); None: collect them."""
    taken: list[Tensor] = field(default_factory=list)
    position: int = 0

    def statistics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, biased variance) for the next normalisation, each (C,), of features (N, C, H, W)."""
        channels = features.shape[1]
        if self.given is None:
            # Two passes: a sum of squares loses float32's digits over a large sample.
            mean = _mean(features)
            variance = _mean((features - mean[:, None, None]).square())
            self.taken += [mean, variance]
            return mean, variance
        start, self.position = self.position, self.position + 2 * channels
        part = self.given[start : self.position]
        return part[:channels], part[channels:]


class FrozenInstanceNorm2d(nn.Module):
    """A drop-in for `nn.InstanceNorm2d`: by tile while no tape is set, else by what the tape says.

    Parameter names are those of `nn.InstanceNorm2d`, so its weights load.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.tape: Tape | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features, (N, C, H, W)."""
        if self.tape is None:
            return F.instance_norm(features, weight=self.weight, bias=self.bias, eps=self.eps)
        mean, variance = self.tape.statistics(features)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        return features * scale[:, None, None] + shift[:, None, None]


class FrozenNetwork(nn.Module):
    """network(image, statistics): the network with its statistics held still."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, statistics: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The network's outputs for an image batch (N, C, H, W) and statistics (length,)."""
        with _taped(self.network, Tape(statistics)):
            outputs: Tensor | tuple[Tensor, ...] = self.network(image)
        return outputs


class Calibrator(nn.Module):
    """calibrator(sample) -> statistics: one pass over a sample in which all tiles share each layer's statistics."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, sample: Tensor) -> Tensor:
        """Statistics (length,) of a sample (N, C, H, W), laid out as `Tape` says."""
        tape = Tape()
        with _taped(self.network, tape):
            self.network(sample)
        return torch.cat(tape.taken)


@dataclass(frozen=True)
class FrozenExport:
    """The two ONNX files of a network with frozen statistics, and how long its statistics are."""

    network: bytes
    calibrator: bytes
    length: int


def replace_instance_norms(network: nn.Module) -> int:
    """How many `nn.InstanceNorm2d` inside the network were replaced, in place, by frozen ones with their weights.

    Raises
    ------
    ValueError
        One tracks running statistics: it is frozen in its own way already.
    """
    count = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                setattr(parent, name, _frozen(child))
                count += 1
    return count


def statistics_length(network: nn.Module) -> int:
    """How long the statistics are of a network whose frozen instance norms run once each."""
    layers = [module for module in network.modules() if isinstance(module, FrozenInstanceNorm2d)]
    return sum(2 * layer.num_features for layer in layers)


def export_frozen(network: nn.Module, example: Tensor, outputs: Sequence[str]) -> FrozenExport:
    """Network and calibrator as ONNX, for a network whose instance norms are `FrozenInstanceNorm2d`.

    Parameters
    ----------
    example
        An image batch (N >= 2, C, H, W) with H different from W, as the exporter wants it.

    Raises
    ------
    ValueError
        The network holds no frozen instance norm.
    """
    if not any(isinstance(module, FrozenInstanceNorm2d) for module in network.modules()):
        raise ValueError("the network holds no FrozenInstanceNorm2d: replace its instance norms first")
    calibrator = Calibrator(network).eval()
    with torch.no_grad():
        statistics = calibrator(example)
    return FrozenExport(
        network=export_onnx(FrozenNetwork(network), [example, statistics], outputs),
        calibrator=export_onnx(calibrator, [example], ["statistics"]),
        length=statistics.numel(),
    )


def _mean(features: Tensor) -> Tensor:
    """Means (C,) of features (N, C, H, W): of rows, of columns, of tiles.

    One float32 sum of millions, as ONNX Runtime takes it, is off by fifty times as much.
    """
    return features.mean(dim=3).mean(dim=2).mean(dim=0)


@contextmanager
def _taped(network: nn.Module, tape: Tape) -> Iterator[None]:
    layers = [module for module in network.modules() if isinstance(module, FrozenInstanceNorm2d)]
    for layer in layers:
        layer.tape = tape
    try:
        yield
    finally:
        for layer in layers:
            layer.tape = None


def _frozen(norm: nn.InstanceNorm2d) -> FrozenInstanceNorm2d:
    if norm.track_running_stats:
        raise ValueError("an instance norm with running statistics is frozen already: do not replace it")
    frozen = FrozenInstanceNorm2d(norm.num_features, norm.eps, norm.affine)
    frozen.load_state_dict(norm.state_dict())
    return frozen.train(norm.training)
