"""The analysed cells kept beside a result: the plan comes back as it was."""

import numpy as np
import pytest
from PIL import Image

from models.errors import IntegrityError
from workers.engine.analysed import read_plan, write_analysed
from workers.geometry import Box, Frame
from workers.plan import Grid, make_plan, spare_cells

FRAME = Frame(mpp=0.5, width_px=300, height_px=170, level0_mpp=0.25, bounds=Box(0, 0, 600, 340))
GRID = Grid(tile_px=64, halo_px=0, align_px=1, cell_px=32, shard_px=128)
SHAPE = (6, 10)


def test_a_plan_comes_back_with_what_a_cascade_spared(tmp_path) -> None:
    rng = np.random.default_rng(1)
    analysed = rng.random(SHAPE) < 0.6
    plan = spare_cells(make_plan(FRAME, GRID, analysed), rng.random(SHAPE) < 0.5)
    first = write_analysed(tmp_path, plan).read_bytes()
    again = read_plan(tmp_path, FRAME, GRID)
    assert (again.frame, again.grid, again.bands) == (plan.frame, plan.grid, plan.bands)
    np.testing.assert_array_equal(again.analysed, analysed)
    np.testing.assert_array_equal(again.cells, plan.cells)
    assert 0 < again.computed_px < again.tissue_px == plan.tissue_px
    assert write_analysed(tmp_path / "b", plan).read_bytes() == first


def test_another_grid_s_picture_and_no_picture_are_refused(tmp_path) -> None:
    path = write_analysed(tmp_path, make_plan(FRAME, GRID, np.ones(SHAPE, bool)))
    Image.fromarray(np.zeros((5, 10), np.uint8)).save(path)
    with pytest.raises(IntegrityError, match=r"\(5, 10\)"):
        read_plan(tmp_path, FRAME, GRID)
    path.write_bytes(b"\x89PNG\r\n\x1a\nand so on")
    with pytest.raises(IntegrityError, match="no picture"):
        read_plan(tmp_path, FRAME, GRID)
