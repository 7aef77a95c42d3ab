"""The network over images: the numbers of the patch classifier, at the right places."""

import pytest
import torch
from torch.nn import functional as F

from tests.unit.training.ki67.test_resnet18 import small_net
from training.nets.dense import (
    CentredKi67,
    Ki67Bytes,
    margins_px,
    to_fully_convolutional,
)

STRIDES = (32, 16, 8)
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def picture(side_px: int) -> torch.Tensor:
    return torch.rand((1, 3, side_px, side_px), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("stride_px", STRIDES)
def test_a_patch_of_64_px_gives_the_patch_classifiers_numbers(stride_px):
    net, patch = small_net(), picture(64)
    with torch.no_grad():
        answer = to_fully_convolutional(net, stride_px)(patch)
        assert torch.allclose(answer[..., 0, 0], net(patch), **CLOSE)


@pytest.mark.parametrize("stride_px", [16, 8])
def test_dense_is_shift_and_stitch(stride_px):
    net, image = small_net(), picture(640)
    steps = 32 // stride_px
    with torch.no_grad():
        dense = to_fully_convolutional(net, stride_px)(image)
        coarse = to_fully_convolutional(net, 32)
        for row, column in ((0, 0), (1, 0), (steps - 1, steps - 1)):
            moved = image[:, :, row * stride_px :, column * stride_px :][:, :, : 640 - 32, : 640 - 32]
            part = dense[:, :, row::steps, column::steps]
            # Cell 8 begins at 256 px: its neighbourhood lies inside of both images.
            assert torch.allclose(part[:, :, 8:10, 8:10], coarse(moved)[:, :, 8:10, 8:10], **CLOSE)


@pytest.mark.parametrize("stride_px", STRIDES)
def test_a_cell_is_decided_by_the_window_centred_on_it(stride_px):
    """A patch that holds all a cell can see, cut around the cell's centre, gives the cell's numbers."""
    net, image = small_net(), picture(640)
    with torch.no_grad():
        cells = CentredKi67(to_fully_convolutional(net, stride_px))(image)
        assert cells.shape == (1, 3, 640 // stride_px, 640 // stride_px)
        index = 304 // stride_px
        centre_px = index * stride_px + stride_px // 2
        patch = image[:, :, centre_px - 288 : centre_px + 288, centre_px - 288 : centre_px + 288]
        assert torch.allclose(cells[:, :, index, index], net(patch), **CLOSE)
        beside = image[:, :, centre_px - 284 : centre_px + 292, centre_px - 288 : centre_px + 288]
        assert not torch.allclose(cells[:, :, index, index], net(beside), **CLOSE)


def test_margins_leave_the_size_as_the_grid_says():
    assert [margins_px(stride) for stride in STRIDES] == [(16, 16), (24, 8), (28, 4)]


def test_bytes_are_the_image():
    net, tiles = small_net(), torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    image = F.pad(tiles.permute(0, 3, 1, 2) / 255, (24, 8, 24, 8), value=1.0)
    with torch.no_grad():
        assert torch.allclose(Ki67Bytes(net, 16)(tiles), to_fully_convolutional(net, 16)(image), **CLOSE)


def test_the_classifier_stays_as_it_was():
    net = small_net()
    to_fully_convolutional(net, 8)
    assert net.layer4[0].conv1.stride == (2, 2)
    with pytest.raises(ValueError, match="8, 16 or 32"):
        to_fully_convolutional(net, 4)
