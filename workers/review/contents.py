"""How far two tables or two maps differ, where both lie on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

STRIP_ROWS = 2048
DECIMALS = 3
"""Findings at one place to so many decimals of a level-0 px, of one class, are one finding."""


@dataclass(frozen=True)
class TableChange:
    """Two lists of findings."""

    rows_a: int
    rows_b: int
    shared: int
    """Found at the same place and of the same class in both."""

    def text(self) -> str:
        """For people."""
        only = self.rows_a - self.shared, self.rows_b - self.shared
        return f"{self.shared} rows are in both, {only[0]} only in A, {only[1]} only in B"


@dataclass(frozen=True)
class MapChange:
    """Two maps, at their finest level."""

    size_a: tuple[int, ...]
    size_b: tuple[int, ...]
    differing: float | None = None
    """The part of the values that differ; None where the sizes do."""
    largest: int | None = None
    """The largest difference of two stored bytes; of classes it only says that there is one."""

    def text(self) -> str:
        """For people."""
        if self.differing is None:
            return f"the sizes are {self.size_a} and {self.size_b}"
        return f"{self.differing:.3%} of the values differ, by up to {self.largest} of 255"


def compare_contents(a: Path, b: Path, name: str) -> TableChange | MapChange | None:
    """How far a file or folder of two results differs; None where it is no table or map, or one is not there.

    Parameters
    ----------
    a, b
        The folders of the results.
    name
        The path of the file or folder in both.
    """
    one, other = a / name, b / name
    if name.endswith(".parquet") and one.is_file() and other.is_file():
        return compare_tables(one, other)
    if name.endswith(".zarr") and one.is_dir() and other.is_dir():
        return compare_maps(one, other)
    return None


def compare_tables(a: Path, b: Path) -> TableChange:
    """The rows of two Parquet tables of findings; the order does not matter, equal rows count one by one."""
    names: dict[str, int] = {}
    one, other = _rows(a, names), _rows(b, names)
    found, owner = np.unique(np.concatenate((one, other)), axis=0, return_inverse=True)
    in_a, in_b = (np.bincount(part, minlength=len(found)) for part in np.split(owner.ravel(), [len(one)]))
    return TableChange(len(one), len(other), int(np.minimum(in_a, in_b).sum()))


def compare_maps(a: Path, b: Path) -> MapChange:
    """The values of two OME-Zarr maps, strip by strip."""
    one, other = (_finest(path) for path in (a, b))
    if one.shape != other.shape:
        return MapChange(one.shape, other.shape)
    differing, largest = 0, 0
    for top in range(0, one.shape[-2], STRIP_ROWS):
        rows = (..., slice(top, top + STRIP_ROWS), slice(None))
        gap = np.abs(np.asarray(one[rows]).astype(np.int16) - np.asarray(other[rows]))
        differing, largest = differing + int(np.count_nonzero(gap)), max(largest, int(gap.max(initial=0)))
    return MapChange(one.shape, other.shape, differing / max(1, int(np.prod(one.shape))), largest)


def _finest(path: Path) -> Any:  # noqa: ANN401  # zarr's arrays have no types
    return zarr.open_group(str(path), mode="r")["0"]


def _rows(path: Path, names: dict[str, int]) -> NDArray[np.float64]:
    """(n, 3): place and number of the class of each finding; `names` learns classes it does not know."""
    table = pq.read_table(path, columns=["x_px", "y_px", "class"])
    places = [np.round(table[name].to_numpy(), DECIMALS) for name in ("x_px", "y_px")]
    classes = [names.setdefault(name, len(names)) for name in table["class"].to_pylist()]
    return np.stack((*places, np.array(classes, np.float64)), axis=1)
