"""What human readers do: mitotic counts of real tumours, and how far readers agree. Tables alone, no image."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics.agreement import Agreement, pairwise
from training.metrics.intervals import Estimate, bootstrap
from training.mitosis.grading import GRADES
from workers.measures.grades import THETA_1, THETA_2, grade

FOLDER = "mitosis_coordinates"
MIDOG, REGIONS, CELLS = "MIDOG++.json", "didsr_dfCountROI20180627.csv", "didsr_dfClassify20180627.csv"
MITOSIS_ID = 1
READERS = 5
ALL = "all"
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class TumourCounts:
    """Mitoses in regions of about 2 mm2 of one tumour type."""

    tumour: str
    regions: int
    mitoses: int
    median: float
    quartiles: tuple[float, float]
    most: int
    grades: tuple[int, int, int]
    """Regions of grade 1, 2 and 3 at the paper's thresholds, which were tuned for another count of breast cancer."""


@dataclass(frozen=True)
class ReaderAgreement:
    """How far five readers agree, seen through one instrument."""

    instrument: str
    regions: int
    cells: int
    count_kappa: Agreement
    """Quadratic weighted kappa of the counts of a region, mean over the ten pairs of readers."""
    count_spearman: Agreement
    cell_kappa: Agreement
    """Cohen's kappa of "mitosis" for a cell, mean over the pairs."""


@dataclass(frozen=True)
class HumanReference:
    """All that the tables tell."""

    tumours: tuple[TumourCounts, ...]
    first_two: Estimate
    """Cohen's kappa of the first two readers of MIDOG++, over the cells that were put before them."""
    instruments: tuple[ReaderAgreement, ...]


def human_reference(data_dir: Path, seed: int = 0, repeats: int = 500) -> HumanReference:
    """Counts and agreement of readers from the tables in `data_dir`.

    Intervals are drawn by region, and by cell for DIDSR's cells. All of DIDSR comes from four slides, so that its
    intervals say nothing of other slides.

    Raises
    ------
    FileNotFoundError
        A table is missing.

    References
    ----------
    MIDOG++: Aubreville et al. 2023, doi:10.1038/s41597-023-02327-4. DIDSR/mitoticFigureCounts: Tabata et al. 2019,
    doi:10.1186/s13000-019-0839-8.
    """
    folder = data_dir / FOLDER
    for name in (MIDOG, REGIONS, CELLS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"there is no {folder / name}: give --data, the folder that holds {FOLDER}")
    midog = json.loads((folder / MIDOG).read_text("utf-8"))
    regions, cells = _rows(folder / REGIONS), _rows(folder / CELLS)
    instruments = sorted({row["modalityID"] for row in regions})
    return HumanReference(
        tumours=tumour_counts(midog),
        first_two=first_two_readers(midog, seed, repeats),
        instruments=tuple(_instrument(name, regions, cells, (seed, repeats)) for name in instruments),
    )


def tumour_counts(midog: dict[str, Any]) -> tuple[TumourCounts, ...]:
    """Counts of every tumour type and, last, of all."""
    counts = {image["id"]: 0 for image in midog["images"]}
    for mark in midog["annotations"]:
        counts[mark["image_id"]] += mark["category_id"] == MITOSIS_ID
    types = {image["id"]: image["tumor_type"] for image in midog["images"]}
    rows = [(name, [counts[i] for i, t in types.items() if t == name]) for name in sorted(set(types.values()))]
    return tuple(_tumour(name, own) for name, own in [*rows, (ALL, list(counts.values()))])


def first_two_readers(midog: dict[str, Any], seed: int, repeats: int) -> Estimate:
    """Kappa of the first two labels of each cell; a third one, where there is one, settled what they disputed."""
    tables = {image["id"]: np.zeros((2, 2)) for image in midog["images"]}
    for mark in midog["annotations"]:
        first, second = (int(label == MITOSIS_ID) for label in mark["labels"][:2])
        tables[mark["image_id"]][first, second] += 1
    return bootstrap(list(tables.values()), _table_kappa, seed, repeats)


def _table_kappa(tables: Sequence[Counts]) -> float:
    """Cohen's kappa of 2x2 tables taken together."""
    share = np.sum(tables, axis=0)
    share = share / share.sum()
    first, second = share.sum(axis=1), share.sum(axis=0)
    by_chance = first[0] * second[1] + first[1] * second[0]
    return float(1 - (share[0, 1] + share[1, 0]) / by_chance)


def _tumour(name: str, counts: Sequence[int]) -> TumourCounts:
    low, middle, high = np.percentile(counts, [25, 50, 75]).tolist()
    graded = [grade(count, THETA_1, THETA_2) for count in counts]
    grades = tuple(graded.count(value) for value in GRADES)
    return TumourCounts(
        name, len(counts), sum(counts), middle, (low, high), max(counts), (grades[0], grades[1], grades[2])
    )


def _instrument(
    name: str, regions: list[dict[str, str]], cells: list[dict[str, str]], draw: tuple[int, int]
) -> ReaderAgreement:
    counts, labels = _table(regions, name), _table(cells, name)
    return ReaderAgreement(
        instrument=name,
        regions=len(counts),
        cells=len(labels),
        count_kappa=pairwise(counts, "kappa", *draw),
        count_spearman=pairwise(counts, "spearman", *draw),
        cell_kappa=pairwise(labels, "kappa", *draw),
    )


def _table(rows: list[dict[str, str]], instrument: str) -> Counts:
    """(n, readers); rows that a reader left out are left out for all."""
    own = [row for row in rows if row["modalityID"] == instrument]
    values = [[row[f"observer.{reader + 1}"] for reader in range(READERS)] for row in own]
    return np.array([row for row in values if all(v not in ("", "NA") for v in row)], np.float64)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
