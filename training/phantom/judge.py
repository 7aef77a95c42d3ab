"""What the result of an analysis says of a phantom, held against the phantom's truth: a few numbers for each analysis.

Everything is read from the files of a result, as `histoserve run` and `histoserve download` leave them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.errors import RefusedInputError
from training.metrics.detection import match_points
from workers.measures.hotspots import densest_disc

NUCLEUS_UM, FIGURE_UM = 5.0, 7.5
"""A detection is the nucleus, or the mitotic figure, that lies so near: what training measures with."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """One number of a result beside the truth."""

    name: str
    value: float
    """What is held against a limit: an error, or a part that is right."""
    n: int
    """Of how many things it is the mean or the part: nuclei, figures, detections."""
    found: float | None = None
    true: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Truth:
    """The nuclei of a phantom, one row each."""

    points_um: Points
    is_positive: NDArray[np.bool_]
    is_mitosis: NDArray[np.bool_]
    area_um2: NDArray[np.float64]


def judge_result(folder: Path, truth: Path, analysis: str) -> tuple[Measured, ...]:
    """The numbers of one analysis of `ANALYSES`.

    Raises
    ------
    RefusedInputError
        The analysis is not known, or the result is not one of it.
    """
    judge = ANALYSES.get(analysis)
    if judge is None:
        raise RefusedInputError(f"There is no truth for {analysis!r}.", f"Give one of {', '.join(ANALYSES)}.")
    return judge(Found(folder, json.loads((folder / "result.json").read_bytes())), read_truth(truth))


def read_truth(path: Path) -> Truth:
    """The truth of a phantom's first stain."""
    table = pq.read_table(path, columns=["x_um", "y_um", "ki67", "phase", "area_um2"])
    return Truth(
        points_um=np.column_stack([table[name].to_numpy() for name in ("x_um", "y_um")]),
        is_positive=table["ki67"].to_numpy(zero_copy_only=False).astype(bool),
        is_mitosis=np.array([phase != "none" for phase in table["phase"].to_pylist()], dtype=bool),
        area_um2=table["area_um2"].to_numpy().astype(np.float64),
    )


@dataclass(frozen=True)
class Found:
    """A result's folder and what its `result.json` says."""

    folder: Path
    result: Mapping[str, Any]

    def scores(self, key: str) -> Mapping[str, Any]:
        """The scores of the first measure that has one of that name."""
        for scores in self.result["scores"].values():
            if scores.get(key) is not None:
                return dict(scores)
        raise RefusedInputError(f"The result has no score named {key}.", "Give a result of the analysis that is named.")

    def points_um(self) -> Points:
        """(n, 2) what was found and counts, of the first measure that left a table."""
        path = self._table()
        wanted = [name for name in ("x_um", "y_um", "counted") if name in pq.read_schema(path).names]
        table = pq.read_table(path, columns=wanted)
        if "counted" in wanted:
            table = table.filter(table["counted"])
        return np.column_stack([table[name].to_numpy() for name in ("x_um", "y_um")])

    def _table(self) -> Path:
        for name in self.result["scores"]:
            if (path := self.folder / f"{name}.parquet").is_file():
                return path
        raise RefusedInputError("The result has no table.", "Give a result of the analysis that is named.")


def _ki67(found: Found, truth: Truth) -> tuple[Measured, ...]:
    true = float(truth.area_um2[truth.is_positive].sum() / truth.area_um2.sum())
    ratio = float(found.scores("r_pos")["r_pos"])
    return (Measured("R_pos", abs(ratio - true), len(truth.area_um2), ratio, true),)


def _virtual(found: Found, truth: Truth) -> tuple[Measured, ...]:
    true, index = float(truth.is_positive.mean()), float(found.scores("r_pos")["r_pos"])
    return (Measured("index", abs(index - true), len(truth.is_positive), index, true),)


def _nuclei(found: Found, truth: Truth) -> tuple[Measured, ...]:
    return (_detection(found.points_um(), truth.points_um, NUCLEUS_UM)["F1"],)


def _deepliif(found: Found, truth: Truth) -> tuple[Measured, ...]:
    percent = float(found.scores("cells")["cells"]["percent_pos"] or 0.0)
    true = 100 * float(truth.is_positive.mean())
    share = Measured("percent positive", abs(percent - true), len(truth.is_positive), percent, true)
    return (share, _detection(found.points_um(), truth.points_um, NUCLEUS_UM)["F1"])


def _mitosis(found: Found, truth: Truth) -> tuple[Measured, ...]:
    figures = truth.points_um[truth.is_mitosis]
    scored = _detection(found.points_um(), figures, FIGURE_UM)
    return (*scored.values(), *_hotspot(found, figures))


def _hotspot(found: Found, figures: Points) -> tuple[Measured, ...]:
    """How many true figures the hotspot holds, of those that the best disc of its size would."""
    hotspot = found.scores("hotspot")["hotspot"]
    if hotspot["x_px"] is None or not len(figures):
        return ()
    mpp = found.result["slide"]["mpp"]
    radius_um = hotspot["radius_px"] * mpp
    centre_um = np.array([hotspot["x_px"], hotspot["y_px"]]) * mpp
    held = int((np.hypot(*(figures - centre_um).T) <= radius_um + 1e-9).sum())
    best = densest_disc(figures, hotspot["area_mm2"])
    return () if best is None else (Measured("hotspot", held / best.count, best.count, held, best.count),)


def _detection(found: Points, truth: Points, match_um: float) -> dict[str, Measured]:
    """F1, precision and recall; 0 where nothing was found or there is nothing to find."""
    paired, count, true = len(match_points(found, truth, match_um)), len(found), len(truth)
    return {
        "F1": Measured("F1", 2 * paired / (count + true) if count + true else 0.0, count + true, count, true),
        "precision": Measured("precision", paired / count if count else 0.0, count, paired, count),
        "recall": Measured("recall", paired / true if true else 0.0, true, paired, true),
    }


ANALYSES: Mapping[str, Callable[[Found, Truth], tuple[Measured, ...]]] = {
    "ki67-he": _ki67,
    "virtual-ihc": _virtual,
    "deepliif": _deepliif,
    "mitosis": _mitosis,
    "nuclei": _nuclei,
}
