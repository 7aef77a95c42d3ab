"""Each toy network's halo is enough, and the smallest that is: the packages other tests stand on are right."""

import numpy as np
import pytest

from models.runtimes import load_predictor
from tests.packages_made import RECIPES, tissue_like

EXACT = ("blur", "fcn8", "fcn32", "dilated", "unet", "valid", "frozen")


@pytest.mark.parametrize("name", EXACT)
def test_the_halo_is_enough_and_the_smallest(made_package, name):
    """Kept boxes of tiles equal those of one large image; with one step of the grid less, they do not."""
    package, grid = made_package(name), RECIPES[name]
    whole = load_predictor(package, tile_px=4 * 64, batch=1, threads=1)
    image = tissue_like(whole.batch_shape[1], seed=9)
    statistics = None if grid.sample is None else whole.calibrate(image[np.newaxis])
    reference = whole.predict(image[np.newaxis], statistics)["out"][0]
    tiles = load_predictor(package, batch=1, threads=1)
    halo, step = grid.halo_px, grid.tile_px
    y, x = 64, 128
    box = image[y : y + step + 2 * halo, x : x + step + 2 * halo]
    answer = tiles.predict(box[np.newaxis], statistics)["out"][0]
    kept = _cut(answer, halo, halo, grid)
    expected = _cut(reference, halo + y, halo + x, grid)
    np.testing.assert_allclose(kept, expected, atol=1e-5)
    shorter = halo - grid.align_px
    rim = _cut(answer, shorter, shorter, grid)
    assert shorter < grid.inset_px or not np.allclose(rim, _cut(reference, y + shorter, x + shorter, grid), atol=1e-5)


def _cut(answer, y, x, grid):
    y, x, side = ((v - grid.inset_px) // grid.stride_px for v in (y, x, grid.tile_px + grid.inset_px))
    return answer[:, y : y + side, x : x + side]
