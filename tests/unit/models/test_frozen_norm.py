"""Frozen instance norm against plain instance norm, in torch."""

import pytest
import torch
from torch import nn

from models.nets.frozen_norm import Calibrator, FrozenInstanceNorm2d, FrozenNetwork, replace_instance_norms

RADIUS = 3


def plain():
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.InstanceNorm2d(6, affine=True),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.ReLU()),
        nn.Conv2d(4, 3, 3, padding=1),
    )
    nn.init.normal_(network[1].weight)
    nn.init.normal_(network[1].bias)
    return network.eval().requires_grad_(False)


def frozen():
    network = plain()
    assert replace_instance_norms(network) == 2
    return network


def picture(*shape):
    # Left and right halves differ, so that tiles have statistics of their own.
    image = torch.rand(*shape, generator=torch.Generator().manual_seed(4))
    image[..., shape[-1] // 2 :] *= 0.3
    return image


def test_untaped_it_is_plain_instance_norm_with_the_same_weights():
    image = picture(2, 3, 24, 32)
    torch.testing.assert_close(frozen()(image), plain()(image))


def test_calibrated_on_the_whole_image_it_is_plain_instance_norm():
    image = picture(1, 3, 40, 56)
    network = frozen()
    statistics = Calibrator(network)(image)
    assert statistics.shape == (2 * 6 + 2 * 4,)
    torch.testing.assert_close(FrozenNetwork(network)(image, statistics), plain()(image), atol=1e-4, rtol=0)


def test_tiles_with_a_halo_are_the_whole_image():
    image = picture(1, 3, 48, 64)
    network = frozen()
    run = FrozenNetwork(network)
    statistics = Calibrator(network)(image)
    whole = run(image, statistics)
    for y, x in ((8, 8), (8, 24), (16, 40)):
        box = image[..., y - RADIUS : y + 16 + RADIUS, x - RADIUS : x + 16 + RADIUS]
        kept = run(box, statistics)[..., RADIUS:-RADIUS, RADIUS:-RADIUS]
        torch.testing.assert_close(kept, whole[..., y : y + 16, x : x + 16], atol=1e-5, rtol=0)
        assert (plain()(box)[..., RADIUS:-RADIUS, RADIUS:-RADIUS] - kept).abs().max() > 0.05


def test_statistics_are_means_and_variances_layer_after_layer():
    sample = picture(3, 3, 16, 16)
    network = frozen()
    first = network[0](sample)
    statistics = Calibrator(network)(sample)
    torch.testing.assert_close(statistics[:6], first.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(statistics[6:12], first.var(dim=(0, 2, 3), unbiased=False))


def test_the_sample_is_one_picture_whatever_the_order_of_its_tiles():
    sample = picture(3, 3, 16, 16)
    calibrate = Calibrator(frozen())
    torch.testing.assert_close(calibrate(sample), calibrate(sample.flip(0)))


def test_a_layer_used_twice_has_two_places():
    norm = FrozenInstanceNorm2d(3)
    network = nn.Sequential(norm, nn.ReLU(), norm)
    image = picture(1, 3, 8, 8)
    statistics = Calibrator(network)(image)
    assert statistics.shape == (12,)
    torch.testing.assert_close(FrozenNetwork(network)(image, statistics), network(image), atol=1e-4, rtol=0)


def test_a_failed_pass_leaves_the_layers_by_tile():
    network = frozen()
    with pytest.raises(RuntimeError):
        FrozenNetwork(network)(picture(1, 3, 8, 8), torch.zeros(5))
    torch.testing.assert_close(network(picture(1, 3, 8, 8)), plain()(picture(1, 3, 8, 8)))


def test_running_statistics_are_refused():
    with pytest.raises(ValueError, match="frozen already"):
        replace_instance_norms(nn.Sequential(nn.InstanceNorm2d(3, track_running_stats=True)))
