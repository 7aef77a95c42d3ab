"""Cells of IHC masks in blocks against the whole mask: many random masks, and a phantom."""

import numpy as np
import pytest

from tests.unit.measures.test_ihc_cells import check_blocks, streamed, whole
from training.phantom.render import render_region
from training.phantom.spec import PhantomSpec
from training.phantom.truth import truth_region
from workers.geometry import Box


@pytest.mark.parametrize("kind", ["noise", "rings"])
@pytest.mark.parametrize("seed", range(4))
def test_many_masks_and_blocks(kind, seed):
    rng = np.random.default_rng(seed)
    for _ in range(15):
        check_blocks(rng, kind, int(rng.integers(3, 30)), int(rng.integers(2, 16)))


def test_a_phantom_s_mask_in_blocks_has_its_cells():
    box = Box(0, 0, 768, 640)
    spec = PhantomSpec(seed=11, width_px=768, height_px=640, tissue=1.0, tumour=1.0, ki67=0.3, fat=0.0)
    mask, marker, slide = (render_region(spec, stain, box) for stain in ("mask", "marker", "ki67"))
    wanted, giants = whole(mask, 96, marker, slide)
    rows, tally = streamed(mask, 200, 96, marker=marker, slide=slide)
    assert rows == wanted
    assert tally.too_large == giants
    truth = truth_region(spec, box, "mask")["ki67"].to_numpy().astype(bool)
    counted = [row for row in rows if row[2] > 50]
    assert len(counted) == pytest.approx(len(truth), rel=0.06)
    assert sum(positive >= negative for *_, positive, negative, _, _ in counted) == pytest.approx(truth.sum(), rel=0.15)
