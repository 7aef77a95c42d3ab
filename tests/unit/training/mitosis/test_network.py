"""Table II: parameters, stride and receptive field by gradient, dense map against patches."""

import pytest
import torch

from training.nets.all_convolutional import (
    INSET_PX,
    PATCH_PX,
    RECEPTIVE_PX,
    STRIDE_PX,
    MitosisBytes,
    MitosisNet,
    filters_at,
    mitosis_probability,
)


def net(gamma=0.04):
    torch.manual_seed(1)
    return MitosisNet(gamma).eval()


@pytest.mark.parametrize(
    ("gamma", "exact", "paper", "off"),
    [(1.0, 26_863_906, 26.9e6, 0.05e6), (0.8, 17_098_903, 17.1e6, 0.05e6), (0.6, 9_624_376, 9.5e6, 0.13e6)],
)
def test_parameters_are_the_papers(gamma, exact, paper, off, monkeypatch):
    # Weights are only counted: filling them would take longer than all other tests here.
    for name in ("kaiming_normal_", "kaiming_uniform_", "uniform_", "zeros_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_args, **_named: tensor)
    with torch.device("meta"):
        count = sum(p.numel() for p in MitosisNet(gamma).parameters())
    assert count == exact
    assert abs(count - paper) < off


def test_no_other_rounding_comes_nearer():
    assert [filters_at(n, 0.6) for n in (32, 64, 128, 256, 512)] == [19, 38, 76, 153, 307]
    assert [filters_at(n, 0.8) for n in (32, 512)] == [25, 409]


def reach(side):
    """Rows of the input that the first output row can see, by gradient."""
    picture = torch.rand((1, 3, side, side), dtype=torch.float64, requires_grad=True)
    out = net(0.04).double()(picture)
    out[0, 1, 0, 0].backward()
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    return out.shape, rows.min().item(), rows.max().item()


def test_a_patch_of_100_px_gives_one_output_that_sees_97():
    shape, first, last = reach(PATCH_PX)
    assert shape == (1, 2, 1, 1)
    assert (first, last) == (0, RECEPTIVE_PX - 1)


@pytest.mark.parametrize(("side", "outputs"), [(97, 1), (101, 2), (104, 2)])
def test_sides_and_outputs(side, outputs):
    assert net()(torch.zeros(1, 3, side, 97)).shape[-2:] == (outputs, 1)


def test_stride_by_gradient():
    picture = torch.rand((1, 3, 108, 97), dtype=torch.float64, requires_grad=True)
    out = net().double()(picture)
    firsts = []
    for row in range(out.shape[2]):
        (gradient,) = torch.autograd.grad(out[0, 1, row, 0], picture, retain_graph=True)
        firsts.append(gradient.abs().sum((0, 1, 3)).nonzero().min().item())
    assert firsts == [0, STRIDE_PX, 2 * STRIDE_PX]


def test_a_dense_map_equals_its_patches():
    picture = torch.rand((1, 3, 104, 101), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    network = net().double()
    dense = network(picture)
    assert dense.shape == (1, 2, 2, 2)
    for row in range(2):
        for column in range(2):
            y, x = row * STRIDE_PX, column * STRIDE_PX
            patch = network(picture[:, :, y : y + RECEPTIVE_PX, x : x + RECEPTIVE_PX])
            torch.testing.assert_close(dense[:, :, row, column], patch[:, :, 0, 0], atol=1e-12, rtol=0)


def test_the_package_takes_bytes_and_says_the_same():
    tiles = torch.randint(256, (1, 104, 100, 3), dtype=torch.uint8)
    network = net()
    logit = MitosisBytes(network)(tiles)
    assert logit.shape == (1, 1, (104 - 2 * INSET_PX) // STRIDE_PX, 1)
    wanted = torch.softmax(network(tiles.permute(0, 3, 1, 2) / 255), 1)[:, 1]
    torch.testing.assert_close(torch.sigmoid(logit)[:, 0], wanted)
    torch.testing.assert_close(mitosis_probability(network(tiles.permute(0, 3, 1, 2) / 255)), wanted)
