"""How far a cell of the class map sees, by the gradient."""

import pytest
import torch

from tests.unit.training.ki67.test_dense import STRIDES, picture
from tests.unit.training.ki67.test_resnet18 import small_net
from training.nets.dense import CentredKi67, receptive_radius_px, to_fully_convolutional


@pytest.mark.parametrize("stride_px", STRIDES)
def test_the_radius_is_how_far_a_cell_sees(stride_px):
    net = CentredKi67(to_fully_convolutional(small_net(), stride_px)).double()
    image = picture(576).double().requires_grad_()
    index = 288 // stride_px
    torch.autograd.backward(net(image)[0, :, index, index].sum())
    seen = torch.nonzero(image.grad.abs().sum((0, 1, 2)))
    start_px, end_px = index * stride_px, (index + 1) * stride_px
    assert max(start_px - int(seen.min()), int(seen.max()) + 1 - end_px) == receptive_radius_px(stride_px)
