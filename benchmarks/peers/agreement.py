"""How far what two programs wrote is apart, over what we computed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NOT_COMPUTED = 255
"""Class maps have this value there, pictures this white."""
Patches = dict[tuple[int, int], float]


def pixel_difference(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> dict[str, float]:
    """The largest difference of two pictures (3, H, W), and the shares of values off by one and by more."""
    computed = (ours != NOT_COMPUTED).any(axis=0)
    apart = np.abs(ours.astype(int) - theirs.astype(int))[:, computed]
    return {
        "compared": float(computed.mean()),
        "largest": int(apart.max(initial=0)),
        "off_by_one": float((apart == 1).mean()),
        "off_by_more": float((apart > 1).mean()),
    }


def class_agreement(ours: NDArray[np.integer], theirs: NDArray[np.integer]) -> dict[str, float]:
    """Share of two class maps (H, W) that we computed, and of that the share in which both name the same class."""
    computed = ours != NOT_COMPUTED
    return {"compared": float(computed.mean()), "same": float((ours == theirs)[computed].mean())}


def on_grid(rows: Sequence[tuple[int, int, float]], side_px: int) -> Patches:
    """Values of (x, y, value) by (column, row); patches that lie between the grid's are left out."""
    return {(x // side_px, y // side_px): value for x, y, value in rows if x % side_px == 0 and y % side_px == 0}


def patches_apart(patches: Patches, stored: NDArray[np.uint8], classes: NDArray[np.uint8]) -> dict[str, float]:
    """The largest difference of the second class's probability, over patches that both have.

    Parameters
    ----------
    stored
        Ours as bytes, (classes, rows, columns).
    classes
        Our class map, (rows, columns).
    """
    apart = [
        abs(stored[1, row, column] / 255 - probability)
        for (column, row), probability in patches.items()
        if row < classes.shape[0] and column < classes.shape[1] and classes[row, column] != NOT_COMPUTED
    ]
    return {"compared": len(apart), "largest": float(np.max(apart, initial=0.0)), "step": 1 / 255}
