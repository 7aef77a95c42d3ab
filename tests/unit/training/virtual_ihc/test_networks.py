"""Shapes and reach of the paper's networks."""

import pytest
import torch

from models.nets.frozen_norm import FrozenInstanceNorm2d, statistics_length
from training.virtual_ihc.config import NetConfig
from training.virtual_ihc.networks import Generator, PatchDiscriminator, receptive_radius_px

THIN = NetConfig(widths=(1, 1, 1, 2), blocks=1)


@pytest.mark.parametrize("use_skip", [True, False])
def test_the_generator_goes_from_288_to_36_and_back(use_skip):
    net = Generator(THIN.model_copy(update={"use_skip": use_skip}))
    sides: list[int] = []
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(lambda _module, _inputs, out: sides.append(out.shape[-1]))
    with torch.no_grad():
        made = net(torch.rand(1, 3, 288, 288) * 2 - 1)
    assert sides == [288, 144, 72, 36, 36, 36, 72, 144, 288, 288]
    assert made.shape == (1, 3, 288, 288)
    assert float(made.abs().max()) <= 1


def test_the_papers_generator_has_ten_blocks_and_four_sizes():
    with torch.device("meta"):
        net = Generator(NetConfig())
    assert len(net.blocks) == 10
    assert [layer.weight.shape[0] for layer in (net.head[1], *(down[0] for down in net.down))] == [64, 128, 256, 512]
    assert net.head[1].kernel_size == net.tail[1].kernel_size == (7, 7)
    assert {block.inner[0].weight.shape for block in net.blocks} == {(512, 512, 3, 3)}
    assert all(down[0].stride == (2, 2) and down[0].kernel_size == (3, 3) for down in net.down)
    assert all(up[0].stride == (2, 2) and up[0].kernel_size == (3, 3) for up in net.up)
    assert isinstance(net.tail[-1], torch.nn.Tanh)


def test_skips_double_what_the_decoder_takes_and_nothing_else():
    with torch.device("meta"):
        plain, skipped = (Generator(NetConfig(use_skip=use)) for use in (False, True))
    taken = [[up[0].weight.shape[0] for up in net.up] + [net.tail[1].weight.shape[1]] for net in (plain, skipped)]
    assert taken == [[512, 256, 128, 64], [512, 512, 256, 128]]
    assert [layer.weight.shape for layer in (plain.head[1], plain.blocks[0].inner[0])] == [
        layer.weight.shape for layer in (skipped.head[1], skipped.blocks[0].inner[0])
    ]


def test_skips_carry_what_the_bottleneck_cannot():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    for use_skip, reaches in ((True, True), (False, False)):
        net = Generator(THIN.model_copy(update={"use_skip": use_skip})).eval()
        torch.nn.init.zeros_(net.down[0][0].weight)
        with torch.no_grad():
            differs = bool((net(image) != net(image.flip(3))).any())
        assert differs is reaches


def test_all_norms_are_ones_whose_statistics_can_be_held_still():
    net = Generator(NetConfig(widths=(2, 3, 4, 5), blocks=2))
    norms = [module for module in net.modules() if isinstance(module, FrozenInstanceNorm2d)]
    assert len(norms) == 1 + 3 + 2 * 2 + 3
    assert not any(isinstance(module, torch.nn.InstanceNorm2d) for module in net.modules())
    assert statistics_length(net) == 2 * (2 + 3 + 4 + 5 + 4 * 5 + 4 + 3 + 2)


def test_the_papers_generator_sees_180_px():
    assert receptive_radius_px(NetConfig()) == 180


def test_a_patch_of_the_discriminator_is_70_px():
    side, jump = 1, 1
    net = PatchDiscriminator((1, 1, 1, 1))
    for layer in reversed([layer for layer in net.layers if isinstance(layer, torch.nn.Conv2d)]):
        side = (side - 1) * layer.stride[0] + layer.kernel_size[0]
        jump *= layer.stride[0]
    assert (side, jump) == (70, 8)
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 288, 288)).shape == (1, 1, 34, 34)


def test_weights_start_by_xavier_and_biases_at_zero():
    torch.manual_seed(2)
    net = Generator(NetConfig(widths=(8, 8, 8, 16), blocks=1))
    weight = net.blocks[0].inner[0].weight.detach()
    bound = (6 / (16 * 9 + 16 * 9)) ** 0.5
    assert float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not net.tail[1].bias.any()
