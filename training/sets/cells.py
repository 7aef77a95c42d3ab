"""Patches with a cell in the middle, and how many there are of each class."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from training.sets.marks import MarkedImage
from training.sets.patch_set import PatchSet, patches_of


def cell_patches(image: MarkedImage, classes: Sequence[str], size_px: int, mpp: float) -> PatchSet:
    """The patches around the marks whose label is one of the classes, in their order; other marks are left out.

    Raises
    ------
    FileNotFoundError
        The labels are here, and the pixels are not.
    """
    if not image.path.exists():
        raise FileNotFoundError(f"{image.name} has labels and no pixels: there is no {image.path}")
    chosen = [mark for mark in image.marks if mark.label in classes]
    points_px = np.array([(m.x_px, m.y_px) for m in chosen], np.float64).reshape(-1, 2)
    return patches_of(image, points_px, [mark.label for mark in chosen], tuple(classes), size_px, mpp)


def class_counts(patches: PatchSet) -> dict[str, dict[str, int]]:
    """Patches by case, in order of name, and class; classes without a patch are there with 0."""
    counts = Counter(zip(patches.cases.tolist(), patches.labels.tolist(), strict=True))
    return {
        case: {name: counts[case, number] for number, name in enumerate(patches.classes)}
        for case in sorted({case for case, _ in counts})
    }
