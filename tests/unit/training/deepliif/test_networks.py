import pytest
import torch
from torch import nn

from models.nets.shapes import ResnetShape, UnetShape
from training.deepliif.config import NetsConfig, SyntheticConfig, mask_weights
from training.deepliif.networks import (
    PatchDiscriminator,
    build_discriminators,
    build_generators,
    build_graph,
    build_ihc_generator,
    mask_terms,
    resnet_shape,
    unet_shape,
)

NARROW = {
    "translator_width": 2,
    "blocks": 1,
    "segmenter_width": 2,
    "levels": 5,
    "discriminator_width": 2,
    "dropout": False,
}


def test_the_papers_networks_are_the_published_shapes():
    assert resnet_shape(NetsConfig()) == ResnetShape(9, 64, "zero", "convtranspose", dropout=True)
    assert unet_shape(NetsConfig()) == UnetShape(9, 64)


def test_generators_by_their_published_names():
    assert list(build_generators(NetsConfig(**NARROW))) == [
        *(f"G{k}" for k in (1, 2, 3, 4)),
        *(f"GS{k}" for k in range(5)),
    ]
    assert list(build_generators(NetsConfig(**NARROW, modalities=("marker",)))) == ["G1", "GS0", "GS1"]
    assert list(build_generators(NetsConfig(**NARROW, many_to_one=True)))[-1] == "GS"


def test_weights_of_the_mask_are_the_papers_and_sum_to_one_without_a_modality():
    assert mask_weights(NetsConfig()) == pytest.approx((0.25, 0.15, 0.25, 0.1, 0.25))
    without_lap2 = mask_weights(NetsConfig(modalities=("hematoxylin", "dapi", "marker")))
    assert without_lap2 == pytest.approx([w / 0.9 for w in (0.25, 0.15, 0.25, 0.25)])
    with pytest.raises(ValueError, match="give one a weight"):
        mask_weights(NetsConfig(modalities=(), weights=(0, 0.5, 0.5, 0, 0)))


def test_the_sum_is_taken_in_deepliifs_order():
    terms = [(term.net, term.source, round(term.weight, 3)) for term in mask_terms(NetsConfig())]
    assert terms[0] == ("GS1", "G1", 0.15) and terms[-1] == ("GS0", None, 0.25)
    assert [net for net, _, _ in terms] == ["GS1", "GS2", "GS3", "GS4", "GS0"]


def test_a_patch_of_the_discriminator_sees_70_px():
    net = PatchDiscriminator(6, 2)
    norms = [k for k, m in enumerate(net.model) if not isinstance(m, (nn.Conv2d, nn.LeakyReLU))]
    alone = nn.Sequential(*(m for k, m in enumerate(net.model) if k not in norms))
    picture = torch.zeros(1, 6, 256, 256, requires_grad=True)
    said = alone(picture)
    assert said.shape == (1, 1, 30, 30)
    said[0, 0, 15, 15].backward()
    rows = torch.nonzero(picture.grad.abs().sum((0, 1, 3)))
    assert int(rows.max() - rows.min()) + 1 == 70


def test_discriminators_see_the_input_beside_the_picture():
    def channels(config):
        return {name: net.model[0].in_channels for name, net in build_discriminators(config).items()}

    assert channels(NetsConfig(**NARROW, modalities=("dapi",))) == {"DG1": 6, "DGS0": 6, "DGS1": 6}
    assert channels(NetsConfig(**NARROW, many_to_one=True))["DGS"] == 3 * 5 + 3


def test_each_sample_is_normalised_by_itself():
    torch.manual_seed(0)
    for name, net in build_generators(NetsConfig(**NARROW, modalities=("dapi",))).items():
        pair = torch.randn(2, 3, 32, 32) * torch.tensor([0.2, 1.0])[:, None, None, None]
        together, alone = net.train()(pair), torch.cat([net(pair[:1]), net(pair[1:])])
        assert torch.allclose(together, alone, atol=1e-5), name


def test_weights_are_drawn_narrow():
    torch.manual_seed(0)
    net = build_generators(NetsConfig(**NARROW | {"translator_width": 16}, modalities=("dapi",)))["G1"]
    convolutions = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert torch.cat([w.flatten() for w in convolutions]).std().item() == pytest.approx(0.02, rel=0.05)
    assert all(not m.bias.any() for m in net.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)


def test_one_segmenter_takes_all_and_the_graph_gives_every_output():
    tiles = torch.randint(0, 256, (2, 32, 64, 3), dtype=torch.uint8)
    for many_to_one in (False, True):
        config = NetsConfig(**NARROW, many_to_one=many_to_one)
        nets = build_generators(config)
        outputs = build_graph(config, nets)(tiles)
        assert [tuple(o.shape) for o in outputs] == [(2, 3, 32, 64)] * 5
    assert nets["GS"].model.model[0].in_channels == 15


def test_spectral_norm_bounds_what_a_layer_can_stretch():
    net = PatchDiscriminator(6, 4, spectral_norm=True).train()
    net(torch.randn(1, 6, 32, 32))
    layer = net.model[0]
    assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=0.2)


def test_the_ihc_generator_takes_grey_dapi_and_mask():
    nets = build_ihc_generator(SyntheticConfig(width=2, blocks=1), NetsConfig(**NARROW))
    assert nets["I"](torch.zeros(1, 7, 32, 32)).shape == (1, 3, 32, 32)
    assert nets["DI"].model[0].in_channels == 7 + 3
