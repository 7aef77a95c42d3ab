"""The generators: names, numbers and shapes of the published ones, and normalisation by sample."""

import itertools

import pytest
import torch
from torch import nn

from models.errors import PackageInvalidError
from models.importers.deepliif.architecture import shape_of
from models.nets.deepliif_graph import build_generator
from models.nets.resnet_generator import ResnetGenerator
from models.nets.shapes import ResnetShape, UnetShape
from models.nets.unet_generator import UnetGenerator
from tests.published_made import Look, drawn, resnet, unet


def sizes(net):
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def on_paper(make):
    """The network without numbers."""
    with torch.device("meta"):
        return make()


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda norm: ResnetGenerator(ResnetShape(), norm), 11_383_427),
        (lambda norm: UnetGenerator(UnetShape(), norm), 66_998_915),
    ],
)
@pytest.mark.parametrize("norm", ["tile", "batch"])
def test_parameters_of_the_published_generators(make, count, norm):
    assert sum(p.numel() for p in on_paper(lambda: make(norm)).parameters()) == count


def convolutions(net):
    return {int(name.split(".")[1]) for name, value in net.state_dict().items() if name.endswith("weight")}


def test_positions_of_the_published_translator():
    names = on_paper(lambda: ResnetGenerator(ResnetShape())).state_dict()
    assert {"model.10.conv_block.5.weight", "model.18.conv_block.4.weight", "model.26.bias"} <= set(names)
    assert convolutions(on_paper(lambda: ResnetGenerator(ResnetShape()))) == {1, 2, 4, 5, 7, 8, *range(10, 19)} | {
        *(19, 20, 22, 23, 26)
    }
    enlarged = on_paper(lambda: ResnetGenerator(ResnetShape(upsample="resize_conv")))
    assert convolutions(enlarged) == {1, 2, 4, 5, 7, 8, *range(10, 19), 21, 22, 26, 27, 30}
    assert {"model.21.bias", "model.26.bias"} <= set(enlarged.state_dict())


@pytest.mark.parametrize(
    ("padding", "dropout", "places"),
    [
        ("zero", True, {0, 1, 4, 5}),
        ("zero", False, {0, 1, 3, 4}),
        ("reflect", True, {1, 2, 6, 7}),
        ("reflect", False, {1, 2, 5, 6}),
    ],
)
def test_positions_in_a_block(padding, dropout, places):
    net = on_paper(lambda: ResnetGenerator(ResnetShape(2, 4, padding, "convtranspose", dropout)))
    found = {int(name.split(".")[3]) for name in net.state_dict() if "conv_block" in name}
    assert found == places


@pytest.mark.parametrize(
    "look",
    [
        *(
            Look(padding, upsample, dropout, 1, 4)
            for padding, upsample, dropout in itertools.product(
                ("zero", "reflect"), ("convtranspose", "resize_conv"), (True, False)
            )
        ),
        Look("zero", "convtranspose", False, 2, 4),
        Look("reflect", "resize_conv", True, 2, 4),
    ],
    ids=str,
)
def test_a_translator_is_told_by_its_weights_and_answers_as_plain_layers_do(look):
    plain = drawn(resnet(look), 3)
    shape = shape_of(sizes(plain), "G1")
    assert shape == ResnetShape(look.blocks, 4, look.padding, look.upsample, look.dropout)
    compare(plain, shape, 16)


@pytest.mark.parametrize("levels", [5, 6])
def test_a_segmenter_is_told_by_its_weights_and_answers_as_plain_layers_do(levels):
    plain = drawn(unet(levels, 4), 3)
    shape = shape_of(sizes(plain), "GS0")
    assert shape == UnetShape(levels, 4)
    compare(plain, shape, 2**levels)


def test_a_full_segmenter_is_told_by_its_weights():
    assert shape_of(sizes(on_paper(unet)), "G51") == UnetShape(9, 8)


def compare(plain, shape, side_px):
    """A batch at once against plain layers a sample at a time, their batch norms without running statistics."""
    built = build_generator(shape, plain.state_dict(), "G")
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = None
    image = torch.rand(2, 3, side_px, side_px, generator=torch.Generator().manual_seed(1)) * 2 - 1
    image[1] *= 0.2
    expected = torch.cat([plain(sample[None]) for sample in image])
    assert expected.std() > 0.05
    torch.testing.assert_close(built(image), expected, atol=2e-5, rtol=0)


def test_training_with_one_sample_is_use():
    shape = ResnetShape(1, 4, dropout=False)
    trained = drawn(ResnetGenerator(shape, "batch"), 2).train()
    built = build_generator(shape, trained.state_dict(), "G")
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    torch.testing.assert_close(built(image), trained(image), atol=1e-5, rtol=0)


def test_radius():
    """Of a network whose norms are held still: what changes further away changes nothing, and it does at the radius."""
    torch.manual_seed(6)
    for shape in (ResnetShape(1, 4), ResnetShape(1, 4, upsample="resize_conv"), UnetShape(2, 4), UnetShape(3, 4)):
        make = ResnetGenerator if isinstance(shape, ResnetShape) else UnetGenerator
        net = drawn(make(shape, "batch"), 5)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.zero_()
                module.running_var.fill_(1)
        radius, stride = shape.radius_px, shape.stride_px
        middle = 4 * -(-radius // stride) * stride
        image = torch.rand(1, 3, 4 * stride, 2 * middle, dtype=torch.float64, requires_grad=True)
        answer = net.double()(image)
        reached = 0
        for pixel in range(middle, middle + stride):
            (slope,) = torch.autograd.grad(answer[0, :, :, pixel].sum(), image, retain_graph=True)
            columns = slope.abs().sum(dim=(0, 1, 2)).nonzero()
            reached = max(reached, pixel - int(columns.min()), int(columns.max()) - pixel)
        assert reached == radius


def test_the_published_ones_see_far():
    assert (ResnetShape().radius_px, ResnetShape(upsample="resize_conv").radius_px, UnetShape().radius_px) == (
        *(84, 87),
        1533,
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: {}, "neither"),
        (lambda s: s | {"model.1.weight": (64, 9, 7, 7)}, "three channels"),
        (lambda s: s | {"model.1.weight": (100_000, 3, 7, 7)}, "three channels"),
        (lambda s: {k: v for k, v in s.items() if "conv_block.0" not in k}, "residual block"),
    ],
)
def test_other_weights_are_refused(change, says):
    known = sizes(on_paper(lambda: resnet(Look(width=4))))
    with pytest.raises(PackageInvalidError, match=says):
        shape_of(change(known), "G1")


def test_weights_that_do_not_fit_are_refused():
    state = resnet(Look(blocks=2, width=4)).state_dict()
    shape = shape_of({k: tuple(v.shape) for k, v in state.items()}, "G1")
    for wrong in (
        state | {"model.4.weight": torch.zeros(8, 4, 5, 5)},
        state | {"model.99.weight": torch.zeros(1)},
        {k: v for k, v in state.items() if k != "model.2.bias"},
    ):
        with pytest.raises(PackageInvalidError, match="not the network"):
            build_generator(shape, wrong, "G1")
