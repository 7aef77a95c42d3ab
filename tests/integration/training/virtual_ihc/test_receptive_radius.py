"""How far a pixel of the virtual stain sees, by the gradient."""

import pytest
import torch

from models.nets.frozen_norm import Calibrator, FrozenNetwork
from training.virtual_ihc.config import NetConfig
from training.virtual_ihc.networks import Generator, halo_px, receptive_radius_px

THIN = NetConfig(widths=(1, 1, 1, 2), blocks=1)


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_the_radius_is_how_far_a_pixel_sees(upsample):
    config = THIN.model_copy(update={"upsample": upsample, "use_skip": False})
    torch.manual_seed(1)
    net = Generator(config).double()
    for weight in net.parameters():
        torch.nn.init.uniform_(weight, 0.1, 1.0)
    image = torch.rand(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        statistics = Calibrator(net)(image)
    frozen = FrozenNetwork(net)(image, statistics)
    reach = 0
    for pixel in range(48, 56):
        (gradient,) = torch.autograd.grad(frozen[0, :, 48, pixel].sum(), image, retain_graph=True)
        seen = torch.nonzero(gradient.abs().sum((0, 1, 2)))
        reach = max(reach, pixel - int(seen.min()), int(seen.max()) - pixel)
    assert reach == receptive_radius_px(config)
    assert 0 <= halo_px(config) - reach < 8
    assert halo_px(config) % 8 == 0
