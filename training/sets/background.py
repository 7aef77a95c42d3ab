"""Places without a cell: boxes at random that meet no cell's box."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.sets.marks import MarkedImage
from workers.quality.tissue import find_tissue
from workers.slides.opening import open_slide

Points = NDArray[np.float64]
IsTissue = Callable[[Points], NDArray[np.bool_]]
"""Of (n, 2) points in level-0 px."""
LEAST_DRAWS, DRAWS_PER_BOX = 100_000, 100
"""So many places are tried before an image counts as full."""
CHUNK = 20_000


def background_boxes(
    image: MarkedImage,
    size_px: float,
    count: int,
    seed: int,
    is_tissue: IsTissue | None = None,
    cell_box_px: float | None = None,
) -> Points:
    """(n, 2) centres of boxes that meet no cell's box, in level-0 px; n is below `count` where there is no room.

    A cell's box lies around its mark, and every mark counts, whatever its label. Boxes that touch do not meet. All lie
    inside the image, begin at whole px and differ from each other; among themselves they may meet. A small image is
    searched through; of a larger one, `LEAST_DRAWS + DRAWS_PER_BOX * count` places are tried.

    Parameters
    ----------
    size_px
        Side of a box.
    is_tissue
        Boxes are kept where it holds for their centre, see `tissue_of`. For a share on tissue call twice: for that
        share with it, and for the rest without.
    cell_box_px
        Side of a cell's box; `size_px` where None, as in the paper.

    References
    ----------
    Liu et al. 2020, doi:10.3389/fmolb.2020.00183, figure 3: 64 px at 40x.
    """
    reach_px = (size_px + (size_px if cell_box_px is None else cell_box_px)) / 2
    cells = image.points_px()
    tree = cKDTree(cells) if len(cells) else None
    kept, missing = [np.zeros((0, 2))], count
    for corners in _corners(image, size_px, count, seed):
        centres = corners + size_px / 2
        if tree is not None:
            centres = centres[tree.query(centres, p=np.inf)[0] >= reach_px]
        if is_tissue is not None and len(centres):
            centres = centres[is_tissue(centres)]
        kept.append(centres[:missing])
        missing -= len(kept[-1])
        if missing <= 0:
            break
    return np.concatenate(kept)


def tissue_of(image: MarkedImage) -> IsTissue:
    """Whether points of an image lie on tissue, by the mask that the service finds slides' tissue with."""
    slide = open_slide(image.path, image.mpp)
    try:
        found = find_tissue(slide)
    finally:
        slide.close()
    scale = image.mpp / found.mpp

    def is_tissue(points_px: Points) -> NDArray[np.bool_]:
        columns, rows = np.floor(points_px * scale).astype(np.int64).T
        height, width = found.mask.shape
        held: NDArray[np.bool_] = found.mask[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
        return held

    return is_tissue


def _corners(image: MarkedImage, size_px: float, count: int, seed: int) -> list[Points]:
    """Places of boxes in random order, none twice, in handy portions."""
    columns, rows = int(image.width_px - size_px) + 1, int(image.height_px - size_px) + 1
    if size_px > min(image.width_px, image.height_px) or count < 1:
        return []
    draws = min(columns * rows, LEAST_DRAWS + DRAWS_PER_BOX * count)
    places = np.random.default_rng(seed).choice(columns * rows, draws, replace=False)
    corners = np.stack([places % columns, places // columns], axis=1).astype(np.float64)
    return np.array_split(corners, -(-draws // CHUNK))
