"""The shape of a published generator, read off the names and sizes of its weights."""

import re
from collections.abc import Mapping

from models.errors import PackageInvalidError
from models.nets.shapes import UNET_LEVELS, Padding, ResnetShape, Shape, UnetShape

Sizes = Mapping[str, tuple[int, ...]]
"""Sizes of weights by name."""

FIRST_BLOCK = 10
BLOCK = re.compile(r"model\.(\d+)\.conv_block\.(\d+)\.weight")
BLOCKS: dict[tuple[int, ...], tuple[Padding, bool]] = {
    (0, 1, 4, 5): ("zero", True),
    (0, 1, 3, 4): ("zero", False),
    (1, 2, 6, 7): ("reflect", True),
    (1, 2, 5, 6): ("reflect", False),
}
"""Padding, and whether there is a dropout layer, by where a residual block has its weights."""
WIDEST = 512


def shape_of(sizes: Sizes, net: str) -> Shape:
    """The shape of the network with these weights.

    Options files are not asked: they say 64 channels whatever there are, and published weights have another padding
    than the options' default. Names and sizes leave one answer.

    Raises
    ------
    PackageInvalidError
        They are not those of a ResNet or U-Net generator from three channels to three.
    """
    if "model.1.weight" in sizes and any(BLOCK.fullmatch(name) for name in sizes):
        return _resnet(sizes, net)
    if "model.model.0.weight" in sizes:
        return _unet(sizes, net)
    raise PackageInvalidError(
        f"{net} is neither a ResNet nor a U-Net generator.", "Other generators of DeepLIIF are not supported."
    )


def _resnet(sizes: Sizes, net: str) -> ResnetShape:
    width = _width(sizes["model.1.weight"], net)
    positions: dict[int, list[int]] = {}
    for name in sizes:
        if found := BLOCK.fullmatch(name):
            positions.setdefault(int(found[1]), []).append(int(found[2]))
    inside = sorted(positions[min(positions)])
    if tuple(inside) not in BLOCKS:
        raise PackageInvalidError(f"{net}: a residual block with weights at {inside} is not known.")
    padding, dropout = BLOCKS[tuple(inside)]
    after = FIRST_BLOCK + len(positions)
    enlarged = f"model.{after + 2}.bias" in sizes and sizes.get(f"model.{after + 2}.weight", ())[2:] == (3, 3)
    return ResnetShape(
        blocks=len(positions),
        width=width,
        padding=padding,
        upsample="resize_conv" if enlarged else "convtranspose",
        dropout=dropout,
    )


def _unet(sizes: Sizes, net: str) -> UnetShape:
    width = _width(sizes["model.model.0.weight"], net)
    deepest = max(name.count(".model.") for name in sizes)
    if deepest not in UNET_LEVELS:
        raise PackageInvalidError(f"{net} is a U-Net of {deepest} levels, not {UNET_LEVELS[0]} to {UNET_LEVELS[-1]}.")
    return UnetShape(levels=deepest, width=width)


def _width(first: tuple[int, ...], net: str) -> int:
    """Of the first convolution's weights, (width, channels, side, side)."""
    if len(first) != 4 or first[1] != 3 or not 1 <= first[0] <= WIDEST:
        raise PackageInvalidError(
            f"{net}: its first convolution has the size {first}; it must take three channels and give 1 to {WIDEST}."
        )
    return first[0]
