"""The networks at the size of their papers, with random weights: what they cost does not depend on those.

Each takes tiles uint8 (N, H, W, 3) and gives what a run stores, uint8, computed on the device: that is all that has to
come back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["image", "classes", "heat"]
SHALLOW = 5
"""Levels of a smoke test's U-Net."""


@dataclass(frozen=True)
class Case:
    """One network, the tile it is run with, and how much tissue that is."""

    name: str
    build: Callable[[], nn.Module]
    read_px: int
    """Side of the tile with its halo."""
    kept_px: int
    mpp: float

    @property
    def mm2(self) -> float:
        """Tissue that a tile keeps."""
        return (self.kept_px * self.mpp / 1000) ** 2


class Stored(nn.Module):
    """A network with its raw outputs turned to bytes: images, classes of the highest logit, probabilities."""

    def __init__(self, network: nn.Module, kind: Kind) -> None:
        super().__init__()
        self.network = network
        self.kind = kind

    def forward(self, tiles: Tensor) -> tuple[Tensor, ...]:
        """The maps to be stored, uint8."""
        outputs = self.network(tiles)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(_bytes(output, self.kind) for output in outputs)


def paper_cases() -> tuple[Case, ...]:
    """DeepLIIF at width 64, the virtual Ki-67 stain, ResNet18 over a grid of 8 px, the mitosis network at gamma 1.

    Tiles and halos are those of our packages; DeepLIIF's own tile of 512 px is kept whole, as it keeps it.
    """
    return (
        Case("deepliif-64", lambda: _deepliif(64, 9), 512, 512, 0.25),
        Case("virtual-ki67", lambda: _virtual((64, 128, 256, 512), 10), 896, 512, 0.5),
        Case("ki67-resnet18-dense", lambda: _ki67(1.0), 1536, 1024, 0.25),
        Case("mitosis-gamma-1", lambda: _mitosis(1.0), 608, 512, 0.25),
    )


def smoke_cases() -> tuple[Case, ...]:
    """The same networks, as small as they come."""
    return (
        Case("deepliif-4", lambda: _deepliif(4, SHALLOW), 64, 64, 0.25),
        Case("virtual-ki67-small", lambda: _virtual((4, 4, 8, 8), 1), 64, 32, 0.5),
        Case("ki67-small", lambda: _ki67(0.05), 128, 64, 0.25),
        Case("mitosis-small", lambda: _mitosis(0.05), 128, 32, 0.25),
    )


def count_flops(network: nn.Module, tiles: Tensor) -> int:
    """Operations of one batch: two for each multiply-add of a convolution or a linear layer."""
    total, handles = 0, []

    def count(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal total
        # A transposed convolution spreads each value of its input, a convolution gathers each of its output.
        values = given[0] if isinstance(module, nn.ConvTranspose2d) else made
        total += 2 * values.numel() * module.weight[0].numel()  # type: ignore[operator]

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            handles.append(module.register_forward_hook(count))
    with torch.inference_mode():
        network(tiles)
    for handle in handles:
        handle.remove()
    return total


def _bytes(output: Tensor, kind: Kind) -> Tensor:
    if kind == "classes":
        return output.argmax(1).to(torch.uint8)
    if kind == "heat":
        return (torch.sigmoid(output) * 255).to(torch.uint8)
    return ((output + 1) * 127.5).clamp(0, 255).to(torch.uint8)


def _deepliif(width: int, levels: int) -> nn.Module:
    """Four translators and five segmenters, all of whose pictures are wanted."""
    from models.nets.deepliif_graph import DeepliifGraph, MaskTerm
    from models.nets.resnet_generator import ResnetGenerator
    from models.nets.shapes import ResnetShape, UnetShape
    from models.nets.unet_generator import UnetGenerator

    stains = ("hema", "dapi", "lap2", "marker")
    nets: dict[str, nn.Module] = {name: ResnetGenerator(ResnetShape(width=width)) for name in stains}
    masks = {f"mask{i}": UnetGenerator(UnetShape(levels=levels, width=width)) for i in range(5)}
    terms = [MaskTerm(f"mask{i}", source, 0.2) for i, source in enumerate((None, *stains))]
    return Stored(DeepliifGraph(nets | masks, terms, [*stains, None]), "image")


def _virtual(widths: tuple[int, int, int, int], blocks: int) -> nn.Module:
    from training.virtual_ihc.networks import Generator

    config = SimpleNamespace(widths=widths, blocks=blocks, use_skip=True, upsample="transposed")
    return Stored(Scaled(Generator(config)), "image")  # type: ignore[arg-type]


class Scaled(nn.Module):
    """A generator of images in -1..1, for bytes."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, tiles: Tensor) -> Tensor:
        """The image in -1..1."""
        made: Tensor = self.generator(tiles.permute(0, 3, 1, 2).float() / 127.5 - 1)
        return made


def _ki67(width: float) -> nn.Module:
    from training.nets.dense import Ki67Bytes
    from training.nets.resnet18 import Ki67Net

    return Stored(Ki67Bytes(Ki67Net(width), 8), "classes")


def _mitosis(gamma: float) -> nn.Module:
    from training.nets.all_convolutional import MitosisBytes, MitosisNet

    return Stored(MitosisBytes(MitosisNet(gamma)), "heat")
