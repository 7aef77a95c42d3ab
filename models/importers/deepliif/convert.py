"""From published weights to ONNX: one generator, or what a plan needs as one graph. torch is loaded when called."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from models.importers.deepliif.architecture import shape_of
from models.importers.deepliif.plan import MASK, Plan
from models.nets.shapes import Shape, UnetShape

if TYPE_CHECKING:
    from torch import nn

Mode = Literal["compat", "exact"]
"""`compat`: statistics of each tile by itself, as DeepLIIF has them; `exact`: fitted once per slide, given as input."""


@dataclass(frozen=True)
class Sides:
    """Sides in px of what the network and the calibrator are given."""

    run_px: int
    sample_px: int


@dataclass(frozen=True)
class Converted:
    """The ONNX files of a plan; calibrator and length of the statistics only where they are fitted per slide."""

    network: bytes
    calibrator: bytes | None = None
    statistics: int = 0


def read_generator(path: Path, name: str) -> "tuple[Shape, nn.Module]":
    """A generator of our own with the weights of a `.pt` or `.pth` file, and its shape."""
    from models.nets.deepliif_graph import build_generator
    from models.nets.torch_files import read_state

    state = read_state(path)
    shape = shape_of({key: tuple(value.shape) for key, value in state.items()}, name)
    return shape, build_generator(shape, state, name)


def convert_generator(path: Path, name: str, side_px: int) -> bytes:
    """One generator as ONNX, each sample normalised by itself.

    Float32 (N, 3, side, side) in -1..1 for the same; the output is called `answer`.
    """
    import torch

    from models.onnx_export import export_onnx

    _, net = read_generator(path, name)
    return export_onnx(net, [torch.zeros(2, 3, side_px, side_px)], ["answer"], dynamic_size=False)


def convert_plan(generators: "Mapping[str, nn.Module]", plan: Plan, mode: Mode, sides: Sides) -> Converted:
    """What a plan needs as one graph: uint8 (N, H, W, 3) in, raw tanh-range outputs by the plan's names out."""
    import torch

    from models.nets.deepliif_graph import DeepliifGraph, MaskTerm
    from models.nets.frozen_norm import Calibrator, FrozenNetwork, statistics_length
    from models.onnx_export import export_onnx

    terms = [MaskTerm(term.net, term.source, term.weight) for term in plan.terms]
    nets = {name: generators[name] for name in plan.nets}
    graph = DeepliifGraph(nets, terms, [None if net == MASK else net for _, net in plan.outputs]).eval()
    names = [name for name, _ in plan.outputs]
    tiles = torch.zeros(2, sides.run_px, sides.run_px, 3, dtype=torch.uint8)
    if mode == "compat":
        return Converted(export_onnx(graph, [tiles], names, spatial_axes=(1, 2), dynamic_size=False))
    length = statistics_length(graph)
    sample = torch.zeros(2, sides.sample_px, sides.sample_px, 3, dtype=torch.uint8)
    network = export_onnx(
        FrozenNetwork(graph), [tiles, torch.zeros(length)], names, spatial_axes=(1, 2), dynamic_size=False
    )
    calibrator = export_onnx(Calibrator(graph), [sample], ["statistics"], spatial_axes=(1, 2), dynamic_size=False)
    return Converted(network, calibrator, length)


def stride_of(shapes: Mapping[str, Shape], plan: Plan) -> int:
    """What the sides of the graph's input must be multiples of, in px."""
    return max(shapes[net].stride_px for net in plan.nets)


def radius_of(shapes: Mapping[str, Shape], plan: Plan) -> int:
    """How far from a pixel lies what it depends on, in px, through translator and segmenter."""
    alone = [shapes[net].radius_px for net in plan.translators]
    chains = [
        shapes[term.net].radius_px + (0 if term.source is None else shapes[term.source].radius_px)
        for term in plan.terms
    ]
    return max([*alone, *chains])


def has_unet(shapes: Mapping[str, Shape], plan: Plan) -> bool:
    """Whether a network of the plan is a U-Net."""
    return any(isinstance(shapes[net], UnetShape) for net in plan.nets)
