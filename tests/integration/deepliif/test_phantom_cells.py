"""DeepLIIF's cells in a phantom's mask, against the phantom's truth, and on from there to pictures, text and scores."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from training.phantom.render import render_region
from training.phantom.spec import PhantomSpec
from training.phantom.truth import truth_region
from workers.deepliif.cells import find_cells
from workers.deepliif.export import cell_records, decode, encode
from workers.deepliif.grid import GridOptions, run_compat
from workers.deepliif.pictures import draw_borders, overlay, refined
from workers.deepliif.scoring import score_cells
from workers.deepliif.thresholds import Thresholds
from workers.geometry import Box

BOX = Box(0, 0, 1024, 1024)
SPEC = PhantomSpec(seed=7, width_px=1024, height_px=1024, tissue=1.0, tumour=1.0, ki67=0.35, fat=0.0)


@pytest.fixture(scope="module")
def phantom():
    pictures = {stain: render_region(SPEC, stain, BOX) for stain in ("mask", "ki67", "marker")}
    truth = truth_region(SPEC, BOX, "mask")
    return pictures, truth["ki67"].to_numpy().astype(bool)


@pytest.fixture(scope="module")
def found(phantom):
    pictures, _ = phantom
    return find_cells(pictures["mask"], Thresholds(), marker=pictures["marker"], ihc=pictures["ki67"])


def test_the_counts_are_the_phantoms(phantom, found):
    score, is_positive = score_cells(found[0], Thresholds()), phantom[1]
    assert len(is_positive) > 200
    assert score.total == pytest.approx(len(is_positive), rel=0.05)
    assert score.positive == pytest.approx(is_positive.sum(), rel=0.07)
    assert score.percent_positive == pytest.approx(100 * is_positive.mean(), abs=2)


def test_marker_and_optical_density_agree_with_the_classes(found):
    score = score_cells(found[0], Thresholds())
    positive, negative = score.is_counted & score.is_positive, score.is_counted & ~score.is_positive
    assert np.median(found[0].marker[positive]) > 2 * np.median(found[0].marker[negative])
    assert np.median(found[0].od[positive]) > np.median(found[0].od[negative])


def test_borders_lie_around_the_cells(phantom, found):
    cells, labels = found
    score = score_cells(cells, Thresholds())
    border = draw_borders(labels, cells, score)
    drawn = overlay(phantom[0]["ki67"], border)
    changed = (drawn != phantom[0]["ki67"]).any(axis=2)
    assert (changed <= (border > 0)).all() and 0.02 < changed.mean() < 0.4
    clean = refined(border, labels, score)
    colours = np.unique(clean.astype(np.int64) @ (1 << 16, 1 << 8, 1))
    assert colours.tolist() == [0, 0x0000FF, 0x00FF00, 0xFF0000]


def test_the_export_draws_the_cells_again(found):
    cells, labels = found
    score = score_cells(cells, Thresholds())
    records = decode(encode(cell_records(cells, labels, score, 6), 6), 6)
    assert len(records) == score.total
    sheet = Image.new("L", (BOX.width, BOX.height))
    for record in records:
        ImageDraw.Draw(sheet).polygon(record.boundary, fill=1, outline=1)
    counted = np.concatenate(([False], score.is_counted))[labels]
    assert (np.asarray(sheet) == counted).mean() > 0.999


def test_the_grid_passes_a_mask_on_whole(phantom):
    mask = phantom[0]["mask"][:700, :650]
    passed = run_compat(mask, lambda tensor: {"seg": tensor}, GridOptions((("seg", (0, 0, 0)),)))["seg"]
    # Through floats and back a value may be cut to the one below.
    assert np.abs(passed.astype(int) - mask).max() <= 1
    scores = [score_cells(find_cells(p, Thresholds())[0], Thresholds()).numbers() for p in (mask, passed)]
    assert scores[0]["num_pos"] == pytest.approx(scores[1]["num_pos"], abs=1)
