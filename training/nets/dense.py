"""The patch classifier run over images of any size: one class for each cell of a grid."""

from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.nets.resnet18 import STRIDE_PX, WINDOW_PX, Block, Ki67Net

DenseStride = Literal[8, 16, 32]
WHITE = 1.0


class DenseKi67(nn.Module):
    """Logits (N, classes, h, w) of images (N, 3, H, W) in 0..1: output (i, j) is the answer for the 64 px window there.

    The window of output i begins at `stride_px * i`, so an image of 64 px gives `classes` numbers, those of the patch
    classifier. Made by `to_fully_convolutional`.
    """

    def __init__(self, net: Ki67Net, stride_px: DenseStride) -> None:
        super().__init__()
        self.stride_px = stride_px
        self.net = net
        self.classify = _convolution_of(net.fc, STRIDE_PX // stride_px)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of every window on the grid."""
        logits: Tensor = self.classify(self.net.features(self.net.normalised(images)))
        return logits


class CentredKi67(nn.Module):
    """Logits (N, classes, H / stride, W / stride): the window that decides a cell of the grid is centred on that cell.

    H and W are multiples of 32. Half a window is missing at the edges: white is put there, as the slide's outside is.
    """

    def __init__(self, dense: DenseKi67) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, images: Tensor) -> Tensor:
        """Logits of every cell of the grid."""
        before, after = margins_px(self.dense.stride_px)
        logits: Tensor = self.dense(F.pad(images, (before, after, before, after), value=WHITE))
        return logits


class Ki67Bytes(nn.Module):
    """The network as it is packaged: uint8 (N, H, W, 3) in, float32 logits (N, classes, H / stride, W / stride) out."""

    def __init__(self, net: Ki67Net, stride_px: DenseStride) -> None:
        super().__init__()
        self.centred = CentredKi67(to_fully_convolutional(net, stride_px))

    def forward(self, tiles: Tensor) -> Tensor:
        """Logits of every cell of the grid."""
        logits: Tensor = self.centred(tiles.permute(0, 3, 1, 2).float() / 255)
        return logits


def to_fully_convolutional(net: Ki67Net, stride_px: DenseStride = 32) -> DenseKi67:
    """The network with its fully connected layer as a 2x2 convolution of the same numbers; `net` stays as it is.

    At a stride of 32 this is the paper's transformation. For 16 the stride of the last stage is taken out and what
    follows it is dilated by two, for 8 that of the last two stages: the numbers of the stride-32 network on images
    moved by 16 or 8 px each way (shift and stitch), at a fraction of the work. Near the image's edge the two differ,
    for the moved images have other pixels there.

    Notes
    -----
    A network trained on 64 px patches sees zeros beyond them in every convolution; run over an image it sees the
    neighbourhood. The numbers agree for an image of 64 px and nowhere else.

    References
    ----------
    Long, Shelhamer and Darrell, Fully convolutional networks for semantic segmentation, doi:10.1109/CVPR.2015.7298965;
    dilation: Yu and Koltun, arXiv:1511.07122.
    """
    if stride_px not in (8, 16, 32):
        raise ValueError(f"the stride is 8, 16 or 32 px, not {stride_px}")
    dense = DenseKi67(deepcopy(net).eval(), stride_px)
    dilation = 1
    for stage, stride in ((dense.net.layer3, 16), (dense.net.layer4, 32)):
        before, dilation = dilation, dilation * (2 if stride > stride_px else 1)
        for index, block in enumerate(stage):
            if isinstance(block, Block):
                _dilate(block, before if index == 0 else dilation, dilation)
    return dense.eval()


def margins_px(stride_px: int) -> tuple[int, int]:
    """White px before and after an image: with them the window of cell i begins at `stride * (i + 0.5) - 32`."""
    return WINDOW_PX // 2 - stride_px // 2, WINDOW_PX // 2 - STRIDE_PX + stride_px // 2


def receptive_radius_px(stride_px: int) -> int:
    """How far from the cells' outer rim, at most, a px can lie that changes them.

    Followed back from an output: two features 32 px apart, each of which sees as far as the convolutions before it
    reach. Reach adds up as kernel radius times the px between its taps, and neither depends on the dense stride: taps
    that are dilated are as far apart as those of the strided network.
    """
    taps_px = (1, 2, *(4,) * 4, 4, *(8,) * 3, 8, *(16,) * 3, 16, *(32,) * 3)
    radii = (3, 1, *(1,) * 16)
    reach = sum(tap * radius for tap, radius in zip(taps_px, radii, strict=True))
    # The first feature lies half a window before the cell's centre, the cell reaches half a stride beyond it.
    return reach + WINDOW_PX // 2 - stride_px // 2


def _dilate(block: Block, before: int, after: int) -> None:
    """Give a block the dilation that the strides taken out ask for: `before` of its input, `after` of its output."""
    if after != before:
        block.conv1.stride = (1, 1)
        if isinstance(block.downsample, nn.Sequential) and isinstance(block.downsample[0], nn.Conv2d):
            block.downsample[0].stride = (1, 1)
    for convolution, dilation in ((block.conv1, before), (block.conv2, after)):
        convolution.dilation, convolution.padding = (dilation, dilation), (dilation, dilation)


def _convolution_of(layer: nn.Linear, dilation: int) -> nn.Conv2d:
    """A fully connected layer on flattened 2x2 features as a convolution."""
    channels = layer.in_features // 4
    convolution = nn.Conv2d(channels, layer.out_features, 2, dilation=dilation)
    with torch.no_grad():
        convolution.weight.copy_(layer.weight.reshape(layer.out_features, channels, 2, 2))
        if convolution.bias is not None:
            convolution.bias.copy_(layer.bias)
    return convolution
