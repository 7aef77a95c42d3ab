"""Floating-point operations of a network, counted from its ONNX graph: two for each multiply-add.

Counted are convolutions, transposed convolutions and matrix products; sums, activations, norms and enlargements are a
few per cent of these networks and are left out, as everywhere that fractions of a matrix product's speed are quoted.
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import onnx

from models.manifest import Manifest

FLOPS_PER_MAC = 2
Sizes = dict[str, tuple[int, ...]]


def flops_per_batch(network: Path, manifest: Manifest) -> int:
    """Operations of one batch of a package at its own tile, halo and batch."""
    grid = manifest.grid
    side = manifest.input.resize_px or grid.tile_px + 2 * grid.halo_px
    return FLOPS_PER_MAC * count_macs(onnx.load(network), {"batch": grid.batch, "height": side, "width": side})


def count_macs(model: onnx.ModelProto, dimensions: Mapping[str, int]) -> int:
    """Multiply-adds of one run, its symbolic dimensions being what `dimensions` says.

    Raises
    ------
    ValueError
        The shape of a convolution or matrix product cannot be inferred: a count without it would be too low.
    """
    sizes = _sizes(model, dimensions)
    return sum(_MACS[node.op_type](node, sizes) for node in model.graph.node if node.op_type in _MACS)


def _sizes(model: onnx.ModelProto, dimensions: Mapping[str, int]) -> Sizes:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in dimensions:
                dimension.dim_value = dimensions[dimension.dim_param]
    graph = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    sizes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
    return sizes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _size(sizes: Sizes, name: str) -> tuple[int, ...]:
    if name not in sizes or 0 in sizes[name]:
        raise ValueError(f"the shape of {name!r} is not known: {sizes.get(name)}")
    return sizes[name]


def _convolution(node: Any, sizes: Sizes) -> int:
    """Each value of the output is a sum over the kernel of the channels of its group."""
    return prod(_size(sizes, node.output[0])) * prod(_size(sizes, node.input[1])[1:])


def _quantised_convolution(node: Any, sizes: Sizes) -> int:
    return prod(_size(sizes, node.output[0])) * prod(_size(sizes, node.input[3])[1:])


def _transposed(node: Any, sizes: Sizes) -> int:
    """Each value of the input is spread by the kernel over the channels of its group."""
    return prod(_size(sizes, node.input[0])) * prod(_size(sizes, node.input[1])[1:])


def _product(node: Any, sizes: Sizes) -> int:
    return prod(_size(sizes, node.output[0])) * _size(sizes, node.input[0])[-1]


def _gemm(node: Any, sizes: Sizes) -> int:
    turned = any(item.name == "transA" and item.i for item in node.attribute)
    return prod(_size(sizes, node.output[0])) * _size(sizes, node.input[0])[0 if turned else 1]


_MACS = {
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "QLinearConv": _quantised_convolution,
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "MatMulInteger": _product,
    "Gemm": _gemm,
}
