"""The Ki-67 index of a picture by its colours, and how brown it is at each nucleus that is known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.colour import to_hed
from models.dab import BLUE, BROWN, dab_classes

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
CORE_UM = 2.5
"""Side of the square at a nucleus' centre whose DAB is averaged: within all but the thinnest nuclei."""


@dataclass(frozen=True, eq=False)
class Nuclei:
    """What a phantom's truth says of the nuclei that lie on its slide, one row each."""

    x_um: Floats
    y_um: Floats
    positive: Flags
    area_um2: Floats
    llr: Floats
    """Log-likelihood ratio of positive against negative, given all that H&E shows; infinite where it is certain."""
    tumour: Flags

    @property
    def index(self) -> float:
        """The positive part of the nuclei."""
        return float(self.positive.mean())

    @property
    def area_index(self) -> float:
        """The positive part of the nuclei's area: what colours can tell at best."""
        return float(self.area_um2[self.positive].sum() / self.area_um2.sum())


def read_nuclei(path: Path, mpp: float, size_px: tuple[int, int]) -> Nuclei:
    """The nuclei of a phantom whose centres lie within its slide of (width, height) level-0 px.

    Raises
    ------
    ValueError
        There is none.
    """
    from pyarrow import parquet

    columns = ["x_px", "y_px", "ki67", "ki67_llr", "type", "phase", "lookalike", "area_um2"]
    table = parquet.read_table(path, columns=columns)
    x_px, y_px = (np.asarray(table[name].to_numpy(), np.float64) for name in ("x_px", "y_px"))
    inside = (x_px >= 0) & (y_px >= 0) & (x_px < size_px[0]) & (y_px < size_px[1])
    if not inside.any():
        raise ValueError(f"{path.name} tells of no nucleus on the slide")
    words = {name: np.array(table[name].to_pylist(), dtype=np.str_) for name in ("type", "phase", "lookalike")}
    llr = np.array(table["ki67_llr"].to_numpy(), np.float64)
    # Mitoses are all positive and look-alikes all negative, and both show.
    llr[words["phase"] != "none"], llr[words["lookalike"] != "none"] = np.inf, -np.inf
    return Nuclei(
        x_um=x_px[inside] * mpp,
        y_um=y_px[inside] * mpp,
        positive=np.asarray(table["ki67"].to_numpy(zero_copy_only=False), np.bool_)[inside],
        area_um2=np.asarray(table["area_um2"].to_numpy(), np.float64)[inside],
        llr=llr[inside],
        tumour=(words["type"] == "tumour")[inside],
    )


def brown_share(pictures: Picture) -> float:
    """brown / (brown + blue) by `models.dab`, of px (..., 3); 0 where there is neither."""
    classes = dab_classes(pictures)
    brown, blue = int((classes == BROWN).sum()), int((classes == BLUE).sum())
    return brown / (brown + blue) if brown + blue else 0.0


def dab_at(picture: Picture, mpp: float, x_um: Floats, y_um: Floats) -> Floats:
    """The mean optical density of DAB in a square of 2.5 um around each point of a picture (H, W, 3)."""
    side = max(1, round(CORE_UM / mpp))
    dab = ndimage.uniform_filter(to_hed(picture)[..., 2], side, mode="nearest")
    columns, rows = (np.floor(values / mpp).astype(np.int64) for values in (x_um, y_um))
    height, width = dab.shape
    return np.asarray(dab[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)], np.float64)
