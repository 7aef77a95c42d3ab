"""CNN1 and CNN2 as the paper lists them."""

import pytest
import torch
from torch import nn

from training.nets.pooled import PooledNet


@pytest.fixture(scope="module")
def on_paper():
    """The network of the paper's size, made once."""
    return PooledNet()


def test_the_papers_layers(on_paper):
    net = on_paper
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1024]
    assert {m.kernel_size for m in convolutions} == {(3, 3)}
    assert sum(isinstance(m, nn.MaxPool2d) for m in net.modules()) == 5
    dense = [m for m in net.modules() if isinstance(m, nn.Linear)]
    assert [m.out_features for m in dense] == [2048, 2]
    assert net.dropout.p == 0.5
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())


def test_parameters_of_the_papers_size(on_paper):
    before = (3, 64, 128, 256, 512)
    convolutions = sum(9 * a * b + b for a, b in zip(before, (64, 128, 256, 512, 1024), strict=True))
    dense = 3 * 3 * 1024 * 2048 + 2048 + 2 * 2048 + 2
    assert sum(p.numel() for p in on_paper.parameters()) == convolutions + dense == 25_151_106


def test_two_logits_and_a_width():
    net = PooledNet(1 / 16, 40, norm=True).eval()
    assert net(torch.zeros(3, 3, 40, 40)).shape == (3, 2)
    assert [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)] == [4, 8, 16, 32, 64]


def test_every_layer_but_the_last_is_rectified():
    net = PooledNet(1 / 16, 32).eval()
    seen = {}
    net.features.register_forward_hook(lambda _m, _i, out: seen.update(features=out))
    net.head.register_forward_pre_hook(lambda _m, inputs: seen.update(head=inputs[0]))
    logits = net(torch.rand(8, 3, 32, 32))
    assert seen["features"].min() >= 0
    assert seen["head"].min() >= 0
    assert logits.min() < 0


def test_dropout_acts_in_training_alone():
    net = PooledNet(1 / 16, 32)
    images = torch.rand(1, 3, 32, 32)
    assert (net.train()(images) != net(images)).any()
    assert (net.eval()(images) == net(images)).all()


def test_patches_too_small_are_refused():
    with pytest.raises(ValueError, match="32 px"):
        PooledNet(1.0, 31)
