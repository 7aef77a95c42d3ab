"""Mitotic candidates of a PHH3 slide: the brown components."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from models.dab import BROWN, dab_classes
from training.mitosis.phh3.config import DabConfig
from workers.geometry import Box
from workers.measures.cells import Block, CellRule, Tally, stream_cells
from workers.slides.slide import Slide, frame_size

Points = NDArray[np.float64]
WINDOW_PX = 2048


@dataclass(frozen=True, eq=False)
class Candidates:
    """Brown components, those of one figure joined."""

    points_px: Points
    """(n, 2): centres in level-0 px."""
    area_um2: Points
    too_small: int
    too_large: int
    """Components that were given up."""


def find_brown(slide: Slide, config: DabConfig, window_px: int = WINDOW_PX) -> Candidates:
    """The candidates of a whole slide, top to bottom: 4-connected components of DAB of about a cell's size.

    The slide is read in windows, and the result is that of the whole image at once, to the last digit: a component that
    reaches over a window's border is kept open until it is complete, whatever its size (`workers.measures.components`),
    so there is no margin that it could be larger than. Memory is a window, and what crosses one line of the slide.

    The paper takes all pixels that are positive for DAB and names neither threshold nor areas; those of `config` are
    ours, and so is the joining of components whose centres are within `join_um`: a telophase is one mitosis.

    Raises
    ------
    SlideUnreadableError
        A tile cannot be decoded.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section III.A; Ruifrok and Johnston 2001, PMID 11531144.
    """
    width_px, height_px = frame_size(slide.info, config.mpp)
    px_um2 = config.mpp**2
    rule = CellRule(config.mpp, config.min_area_um2 / px_um2, config.max_area_um2 / px_um2)

    def brown_of(box: Box) -> Block:
        return Block(dab_classes(slide.read(box, config.mpp), config.density) == BROWN)

    tally = Tally()
    cells = list(stream_cells(brown_of, width_px, height_px, rule, block_px=window_px, tally=tally))
    centres = np.array([(cell.x, cell.y) for cell in cells], np.float64).reshape(-1, 2)
    areas = np.array([cell.area_um2 for cell in cells], np.float64)
    centres, areas = join_near(centres, areas, config.join_um / config.mpp)
    return Candidates(centres * (config.mpp / slide.info.mpp), areas, tally.too_small, tally.too_large)


def join_near(centres: Points, areas: Points, distance: float) -> tuple[Points, Points]:
    """Centres (m, 2) and areas (m,) of the groups that hang together by steps of up to `distance`, top to bottom.

    A group's centre is the mean of its centres weighted by area.
    """
    if not len(centres):
        return centres, areas
    pairs = cKDTree(centres).query_pairs(distance, output_type="ndarray").reshape(-1, 2)
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(centres), len(centres)))
    count, group = connected_components(links, directed=False)
    total: Points = np.bincount(group, areas, count).astype(np.float64)
    joined = np.stack([np.bincount(group, centres[:, axis] * areas, count) / total for axis in (0, 1)], axis=1)
    order = np.lexsort((joined[:, 0], joined[:, 1]))
    return joined[order], total[order]
