"""Glass of a warm or pink white balance is still glass, also where it touches tissue."""

import numpy as np
import pytest

from tests.unit.quality.paintings import disc, glass, slide, stain
from workers.quality import find_tissue

HE = {"hematoxylin": 0.25, "eosin": 0.35}
TINTS = [(242, 238, 230), (240, 235, 222), (245, 238, 215), (225, 222, 210), (245, 232, 240), (215, 218, 228)]


@pytest.mark.parametrize("tint", TINTS, ids=str)
def test_a_tint_changes_no_piece(tint):
    piece = disc((300, 400), 180, 140, 90)
    plain, tinted = (
        find_tissue(slide(stain(glass(level=level), piece, HE), noise=2.0)).mask for level in ((243, 243, 243), tint)
    )
    assert (plain ^ tinted).sum() < 0.03 * piece.sum()
    assert tinted[~disc((300, 400), 180, 140, 96)].sum() == 0


def test_a_small_field_of_pale_tissue_has_no_tint_taken_away():
    """Without glass in sight the palest tissue would pass for it."""
    shape = (256, 256)
    pale = np.full((*shape, 3), (238, 218, 230), dtype=np.float32)
    found = find_tissue(slide(stain(pale, disc(shape, 128, 128, 60), HE), mpp=1.0))
    assert found.mask.mean() > 0.95
