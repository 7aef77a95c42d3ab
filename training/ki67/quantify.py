"""Quantification held against an IHC section: the shares of positive and negative area in pairs of regions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.dab import BLUE, BROWN, dab_classes
from training.ki67.config import NEGATIVE, POSITIVE, Config
from training.ki67.dense_map import class_map
from training.ki67.report import PairRow
from training.nets.resnet18 import Ki67Net
from training.phantom.section import is_moved, to_slide
from training.phantom.spec import PhantomSpec
from workers.geometry import Box
from workers.registration.align import register
from workers.registration.errors import RegistrationFailedError
from workers.registration.result import Registration
from workers.slides.opening import open_slide
from workers.slides.slide import Slide, frame_size

Classes = NDArray[np.uint8]
Floats = NDArray[np.float64]
RGB = NDArray[np.uint8]
FINE = 4
"""Points per cell of the class map and direction, at which the IHC is looked at."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A region seen in both sections, on one grid `FINE` times as fine as the class map, and where both are seen."""

    he: Classes
    ihc: Classes
    common: NDArray[np.bool_]
    he_rgb: RGB
    ihc_rgb: RGB
    """Both as pictures, on the same grid."""
    registered: bool
    error_um: float


def shares(classes: NDArray[np.integer], positive: int, negative: int) -> tuple[float, float, float]:
    """D_pos, D_neg and R_pos: S_pos / S_ROI, S_neg / S_ROI and S_pos / (S_pos + S_neg); R_pos is 0 where both are 0.

    References
    ----------
    Liu et al., doi:10.3389/fmolb.2020.00183.
    """
    if not classes.size:
        raise ValueError("a region without area has no shares")
    pos, neg = int((classes == positive).sum()), int((classes == negative).sum())
    return pos / classes.size, neg / classes.size, pos / (pos + neg) if pos + neg else 0.0


def compare(name: str, pair: Pair) -> PairRow:
    """The shares of a pair, over what is seen in both sections."""
    return PairRow(
        name=name,
        he=shares(pair.he[pair.common], POSITIVE, NEGATIVE),
        ihc=shares(pair.ihc[pair.common], BROWN, BLUE),
        registered=pair.registered,
        error_um=pair.error_um,
    )


def read_pair(net: Ki67Net, slides: tuple[Path, Path], spec: PhantomSpec, config: Config) -> Pair:
    """A pair of slides, H&E and Ki-67, laid onto each other.

    The Ki-67 section is registered where it was moved; one that lies as the H&E does needs none.

    Raises
    ------
    RegistrationFailedError
        The sections cannot be laid onto each other.
    """
    he, ihc = (open_slide(path, spec.mpp) for path in slides)
    try:
        found, cell_px = class_map(net, he, config.data.mpp, config.package)
        rgb = {name: _whole(slide, config.data.mpp) for name, slide in (("he", he), ("ihc", ihc))}
        found = found.repeat(FINE, 0).repeat(FINE, 1)
        centres_um = _centres(found.shape) * cell_px / FINE * spec.mpp
        laid = None
        there_um = centres_um
        if is_moved(spec.section("ki67")):
            laid = _registered(he, ihc, config.data.pairs.registration_mpp)
            there_um = laid.map_points(centres_um / laid.mpp) * laid.mpp
    finally:
        he.close()
        ihc.close()
    rows, columns, inside = _pixels(there_um / config.data.mpp, rgb["ihc"].shape)
    he_rows, he_columns, _ = _pixels(centres_um / config.data.mpp, rgb["he"].shape)
    return Pair(
        he=found,
        ihc=dab_classes(rgb["ihc"])[rows, columns].reshape(found.shape),
        common=inside.reshape(found.shape),
        he_rgb=rgb["he"][he_rows, he_columns].reshape(*found.shape, 3),
        ihc_rgb=rgb["ihc"][rows, columns].reshape(*found.shape, 3),
        registered=laid is not None,
        error_um=_error_um(spec, centres_um, there_um),
    )


def _whole(slide: Slide, mpp: float) -> RGB:
    width_px, height_px = frame_size(slide.info, mpp)
    return slide.read(Box(0, 0, width_px, height_px), mpp)


def _registered(he: Slide, ihc: Slide, mpp: float) -> Registration:
    found = register(_whole(he, mpp), _whole(ihc, mpp), mpp)
    if not found.quality.trusted:
        raise RegistrationFailedError(
            f"The sections do not lie on each other: {'; '.join(found.quality.reasons)}.", "Look at both slides."
        )
    return found


def _centres(shape: tuple[int, ...]) -> Floats:
    """(n, 2) centres of the cells of a grid, x before y, in cells."""
    rows, columns = np.indices(shape[:2])
    return np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)


def _pixels(
    points_px: Floats, shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Row and column of the px that holds each point, the nearest one where it lies outside, and which lie inside."""
    columns, rows = np.floor(points_px).astype(np.int64).T
    inside = (rows >= 0) & (columns >= 0) & (rows < shape[0]) & (columns < shape[1])
    return rows.clip(0, shape[0] - 1), columns.clip(0, shape[1] - 1), inside


def _error_um(spec: PhantomSpec, here_um: Floats, there_um: Floats) -> float:
    """Median distance between where points were put and where the phantom has them."""
    x, y = to_slide(spec, spec.section("ki67"), here_um[:, 0], here_um[:, 1])
    return float(np.median(np.hypot(there_um[:, 0] - x, there_um[:, 1] - y)))
