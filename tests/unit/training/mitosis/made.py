"""Patches, images and folds small enough for tests."""

from pathlib import Path

import numpy as np

from training.mitosis.config import Config
from training.mitosis.fold import Fold
from training.mitosis.parts import Parts
from training.mitosis.prepare import CLASSES, Prepared
from training.sets.marks import Mark, MarkedImage
from training.sets.patch_set import PatchSet


def made_patches(positives=4, negatives=16, size=4):
    """Patches of one colour each, the row's number; every second one synthetic."""
    count = positives + negatives
    rows = np.arange(count)
    pixels = np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (count, size, size, 3)).copy()
    synthetic = rows % 2 == 1
    names = np.where(synthetic, "phantom", "real")
    return PatchSet(
        pixels=pixels,
        labels=(rows < positives).astype(np.int64),
        classes=CLASSES,
        images=names,
        cases=names,
        x_px=np.zeros(count),
        y_px=np.zeros(count),
        synthetic=synthetic,
        mpp=0.25,
    )


def made_image(name, case, mitoses=1, synthetic=False, source="real"):
    """An image of 400 x 300 px with mitoses in a row and an apoptosis."""
    marks = [Mark(50.0 + 100 * n, 60, "mitosis") for n in range(mitoses)]
    return MarkedImage(
        name, case, source, synthetic, Path(f"{name}.png"), 0.25, 400, 300, (*marks, Mark(300, 200, "Apoptosis"))
    )


def made_fold(**numbers):
    """A fold on made patches; all rows are for training."""
    patches = made_patches(positives=8, negatives=32)
    rows = np.arange(len(patches))
    prepared = Prepared((), patches, "0" * 64, (), {})
    return Fold("final", prepared, Config(**numbers), Path(), Parts((), (), ()), rows, rows)
