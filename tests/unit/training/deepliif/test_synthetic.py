import numpy as np
import pytest

from tests.unit.training.deepliif.made import picture_of, squares
from training.deepliif.synthetic import turned_cells, turned_positive


def crowd():
    instances = squares(side=104, cell=8, gap=2)
    positive = np.arange(int(instances.max())) % 5 == 0
    return picture_of(instances, positive)


@pytest.mark.parametrize("part", [0.5, 0.7, 0.9])
def test_that_part_of_the_negative_cells_is_turned(part):
    cells = crowd()
    turned = turned_cells(cells.panels.seg, cells.instances, part, np.random.default_rng(1))
    negative = ~cells.positive
    assert not (turned & cells.positive).any()
    assert turned.sum() == round(part * negative.sum())


def test_mask_and_marker_of_turned_cells_change_and_nothing_else():
    cells = crowd()
    new = turned_positive(cells.panels, cells.instances, 0.5, np.random.default_rng(1))
    turned = turned_cells(cells.panels.seg, cells.instances, 0.5, np.random.default_rng(1))
    where = np.concatenate([[False], turned])[cells.instances]
    boundary = cells.panels.seg[..., 1] > 0
    assert (new.seg[where & ~boundary] == (255, 0, 0)).all()
    assert (new.seg[boundary] == (0, 255, 0)).all()
    assert (new.seg[~where] == cells.panels.seg[~where]).all()
    assert (new.marker[where] == 150).all() and (new.marker[~where] == cells.panels.marker[~where]).all()
    assert new.dapi is cells.panels.dapi and new.hematoxylin is cells.panels.hematoxylin


def test_other_seeds_turn_other_cells():
    cells = crowd()
    first, second = (
        turned_cells(cells.panels.seg, cells.instances, 0.5, np.random.default_rng(seed)) for seed in (1, 2)
    )
    assert (first != second).any()
