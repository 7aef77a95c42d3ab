"""How strong the marker and the DAB are in each cell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.colour import to_hed
from workers.deepliif.cells import Bytes, Labels
from workers.measures.cell_outlines import ranks_of

BAND_ROWS = 256
LN_10 = float(np.log(10))

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def mean_stains(
    labels: Labels, kept: Ints, marker: Bytes | None, slide: Bytes | None
) -> tuple[Floats | None, Floats | None]:
    """Mean marker and mean density of DAB (decadic) of the kept cells; None without the picture it takes.

    Parameters
    ----------
    kept
        (n,): label - 1 of each.
    marker
        uint8 (h, w).
    slide
        uint8 (h, w, 3).

    References
    ----------
    Ruifrok and Johnston 2001, PMID 11531144 (the unmixing).
    """
    rank = ranks_of(kept, int(labels.max(initial=0)))
    sums: NDArray[Any] = np.zeros((3, len(kept)))
    for top in range(0, len(labels), BAND_ROWS):
        band = slice(top, top + BAND_ROWS)
        owner = rank[labels[band]]
        at = np.nonzero(owner >= 0)
        owner = owner[at]
        sums[0] += np.bincount(owner, minlength=len(kept))
        if marker is not None:
            sums[1] += np.bincount(owner, marker[band][at], len(kept))
        if slide is not None:
            sums[2] += np.bincount(owner, to_hed(slide[band][at])[:, 2] / LN_10, len(kept))
    return (
        None if marker is None else sums[1] / sums[0],
        None if slide is None else np.round(sums[2] / sums[0], 4),
    )
