"""The area of each class of a map, in one pass over it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def measure_areas(values: Iterable[NDArray[np.uint8]], class_count: int, mpp: float) -> tuple[float, ...]:
    """mm2 of each class; other values (not analysed) are left out.

    Parameters
    ----------
    values
        uint8 class maps of boxes that share no pixel.
    mpp
        Of the map.
    """
    pixels = np.zeros(256, dtype=np.int64)
    for part in values:
        pixels += np.bincount(part.ravel(), minlength=256)
    px_mm2 = (mpp / 1000) ** 2
    return tuple(float(count * px_mm2) for count in pixels[:class_count])
