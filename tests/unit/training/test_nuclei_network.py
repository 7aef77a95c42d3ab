"""The network's shape, its receptive field, and that a tile with its halo gives what the whole image gives."""

import numpy as np
import pytest
import torch

from training.nuclei.config import load_config
from training.nuclei.network import STRIDE_PX, ByteInput, NucleiNet, receptive_radius
from training.nuclei.predict import find_nuclei, predict_logits

WIDTHS = (4, 4, 4, 4)


def summing_network(depths):
    """A network whose every path adds up, so that nothing that can reach an output pixel is hidden by a ReLU."""
    net = NucleiNet(WIDTHS, depths).eval().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
    return net


def measured_radius(depths):
    """The farthest input column that raises an output pixel, over all places on the stride grid."""
    net, middle = summing_network(depths), 64
    rows = torch.zeros(2 * middle + 1, 3, 8, 2 * middle, dtype=torch.float64)
    for column in range(2 * middle):
        rows[column, ..., column] = 1.0
    places = torch.arange(middle, middle + STRIDE_PX)
    with torch.inference_mode():
        answers = net(rows)[:, 0, 0, places]
    columns, index = torch.nonzero(answers[:-1] != answers[-1], as_tuple=True)
    return int((columns - places[index]).abs().max())


@pytest.mark.parametrize("depths", [(1, 1, 1, 1), (1, 2, 2, 2), (2, 1, 1, 2)])
def test_the_counted_receptive_radius_is_the_real_one(depths):
    assert receptive_radius(depths) == measured_radius(depths)


def test_the_halo_of_the_recipe_covers_the_receptive_radius():
    config = load_config()
    assert config.grid.halo_px >= receptive_radius(config.network.depths)
    assert config.grid.halo_px % STRIDE_PX == 0


def test_a_tile_with_its_halo_gives_what_the_whole_image_gives():
    torch.manual_seed(0)
    depths = load_config().network.depths
    halo = -(-receptive_radius(depths) // STRIDE_PX) * STRIDE_PX
    net = NucleiNet(WIDTHS, depths).eval().double()
    image = torch.rand(1, 3, 160, 200, dtype=torch.float64)
    with torch.no_grad():
        whole = net(image)
        for y, x in ((56, 48), (64, 104)):
            tile = net(image[..., y - halo : y + 16 + halo, x - halo : x + 24 + halo])
            kept = tile[..., halo : halo + 16, halo : halo + 24]
            torch.testing.assert_close(kept, whole[..., y : y + 16, x : x + 24], rtol=0, atol=1e-12)


def test_byte_input_is_absorbance_of_the_tile():
    net = NucleiNet(WIDTHS, (1, 1, 1, 1)).eval()
    tiles = torch.randint(0, 256, (2, 16, 24, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = net(1 - tiles.permute(0, 3, 1, 2) / 255)
        torch.testing.assert_close(ByteInput(net)(tiles), expected)


def test_images_of_any_size_are_predicted_as_if_white_lay_around_them():
    torch.manual_seed(1)
    net = NucleiNet(WIDTHS, (1, 1, 1, 1)).eval()
    image = np.random.default_rng(2).integers(0, 256, (13, 21, 3), dtype=np.uint8)
    framed = np.full((16, 24, 3), 255, np.uint8)
    framed[:13, :21] = image
    np.testing.assert_array_equal(predict_logits(net, image), predict_logits(net, framed)[:, :13, :21])


def logits_of(classes):
    return np.eye(3, dtype=np.float32)[np.array(classes)].transpose(2, 0, 1)


def test_interiors_grow_back_to_their_rim_without_meeting():
    rows = [[0, 2, 2, 2, 2, 2, 0]] + [[0, 2, 1, 2, 1, 2, 0]] * 2 + [[0, 2, 2, 2, 2, 2, 0]]
    grid = load_config().grid.model_copy(update={"min_area_um2": 0.0, "grow_px": 1})
    nuclei = find_nuclei(logits_of(rows), 0.5, grid)
    assert nuclei[1].tolist() == [0, 1, 1, 1, 2, 2, 0] or nuclei[1].tolist() == [0, 1, 1, 2, 2, 2, 0]
    assert nuclei.max() == 2


def test_specks_and_sheets_are_dropped_and_the_rest_renumbered():
    rows = [[1, 0, 1, 1, 0, 1, 1, 1, 1, 1]]
    update = {"min_area_um2": 2.0, "max_area_um2": 4.0, "grow_px": 0}
    nuclei = find_nuclei(logits_of(rows), 1.0, load_config().grid.model_copy(update=update))
    assert nuclei.tolist() == [[0, 0, 1, 1, 0, 0, 0, 0, 0, 0]]
