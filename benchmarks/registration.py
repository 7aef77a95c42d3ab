"""Registration error against readers' landmarks and against phantoms' truth, and seconds.

`python -m benchmarks.registration` prints JSON; the landmarks are skipped where the real data is absent.
"""

import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from training.phantom.spec import PhantomSpec, Section
from training.phantom.write import write_phantom
from workers.geometry import Box
from workers.registration.align import register
from workers.registration.slides import SlideRegistration, register_slides
from workers.slides import open_slide

Points = NDArray[np.float64]
LUNG = "registration_lung_lesion"
LUNG_MPP = 0.174 / 0.05
"""The slide's mpp, shown at 5 %; landmarks were set at 50 %."""
FIXED = "He"
MOVING = {"Ki67-7": ("PS",), "CD31-3": ("PS",), "Cc10-5": ("PS",), "proSPC-4": ("PS", "JB")}
MPP, REFINED_MPPS = (4.0, 2.0), (1.0, 0.5)
REGION_UM = 1000.0
PHANTOM_MPP, PHANTOM_PX = 0.5, 7000
MOVED = {
    1: (0.6, 1, Section("ki67", 40, -25, 5, 10)),
    2: (0.5, 1, Section("ki67", 300, -200, 90, 15)),
    3: (0.6, 2, Section("ki67", -250, 300, 180, 20)),
    4: (0.4, 1, Section("ki67", 150, 100, -37, 12)),
    5: (0.7, 1, Section("ki67", -300, 0, 141, 20)),
}
"""Seed: part that is tissue, pieces of it, and how the second section lies."""


def measure(work: Path) -> dict[str, Any]:
    """Errors and seconds; phantoms are made once, in `work`."""
    data = Path(os.environ.get("HISTOSERVE_TEST_DATA", "../shared/data")) / LUNG
    lung = [pair for stain, readers in MOVING.items() for pair in _lung(data, stain, readers)] if data.is_dir() else []
    return {"lung_lesion": lung, "phantoms": [_phantom(work, seed) for seed in MOVED]}


def picture_of(data: Path, stain: str) -> NDArray[np.uint8]:
    """A section of the lung lesion, uint8 (H, W, 3)."""
    return np.asarray(Image.open(data / "images_5pc" / f"29-041-Izd2-w35-{stain}-les3.jpg").convert("RGB"))


def landmarks_of(data: Path, stain: str, reader: str) -> Points:
    """A reader's landmarks in px of the picture, float64 (n, 2)."""
    path = data / f"landmarks_50pc_user-{reader}" / f"29-041-Izd2-w35-{stain}-les3.csv"
    with path.open(newline="") as lines:
        return np.array([(float(row["X"]), float(row["Y"])) for row in csv.DictReader(lines)]) / 10


def summary(errors: Points, per_px: float = 1.0) -> dict[str, float]:
    """Median, mean, 95th percentile and maximum, times `per_px`."""
    figures = np.median(errors), errors.mean(), np.percentile(errors, 95), errors.max()
    return {k: round(float(v) * per_px, 4) for k, v in zip(("median", "mean", "p95", "max"), figures, strict=True)}


def _lung(data: Path, stain: str, readers: tuple[str, ...]) -> list[dict[str, Any]]:
    fixed, moving = picture_of(data, FIXED), picture_of(data, stain)
    started = time.perf_counter()
    found = register(fixed, moving, LUNG_MPP)
    seconds = time.perf_counter() - started
    diagonal_px = float(np.hypot(*fixed.shape[:2]))
    rows = []
    for reader in readers:
        here, there = landmarks_of(data, FIXED, reader), landmarks_of(data, stain, reader)
        places = {"before": here, "pose": found.map_points(here, field=False), "warp": found.map_points(here)}
        errors = {name: np.hypot(*(at - there).T) for name, at in places.items()}
        rows.append(
            {"moving": stain, "reader": reader, "landmarks": len(here), "seconds": round(seconds, 2)}
            | {f"{name}_px": summary(error) for name, error in errors.items()}
            | {f"{name}_um": summary(error, LUNG_MPP) for name, error in errors.items()}
            | {"warp_relative": summary(errors["warp"], 1 / diagonal_px), "quality": found.quality.as_dict()}
        )
    return rows


def _phantom(work: Path, seed: int) -> dict[str, Any]:
    tissue, pieces, section = MOVED[seed]
    paths = {stain: work / f"registration-{seed}-{stain}.tiff" for stain in ("he", "ki67")}
    truth = work / f"registration-{seed}.parquet"
    if not truth.exists():
        side = PHANTOM_PX
        spec = PhantomSpec(seed, side, side, PHANTOM_MPP, tissue, pieces, sections=(section,))
        write_phantom(spec, {"he": paths["he"], "ki67": paths["ki67"]}, truth, 2)
    columns = [pq.read_table(truth)[name].to_numpy() for name in ("x_px", "y_px", "x_px_ki67", "y_px_ki67")]
    here, there = np.column_stack(columns[:2]), np.column_stack(columns[2:])
    seen = ((there >= 0) & (there < PHANTOM_PX)).all(axis=1)
    here, there = here[seen], there[seen]
    row: dict[str, Any] = {"seed": seed, "nuclei": len(here), "turn_deg": section.turn_deg, "warp_um": section.warp_um}
    slides = open_slide(paths["he"]), open_slide(paths["ki67"])
    for mpp in MPP:
        started = time.perf_counter()
        found = register_slides(*slides, mpp)
        row[f"seconds_at_{mpp:g}"] = round(time.perf_counter() - started, 2)
        for name, field in (("pose", False), ("warp", True)):
            errors = np.hypot(*(found.map_points(here, field) - there).T)
            row[f"{name}_at_{mpp:g}_um"] = summary(errors, PHANTOM_MPP)
        if mpp == MPP[0]:
            row |= _refined(found, here, there)
    for slide in slides:
        slide.close()
    return row


def _refined(found: SlideRegistration, here: Points, there: Points) -> dict[str, Any]:
    """Errors in a square about the middle of the nuclei, refined."""
    side = round(REGION_UM / PHANTOM_MPP)
    x, y = np.median(here, axis=0).astype(int) - side // 2
    region = Box(int(x), int(y), side, side)
    inside = (np.abs(here - (x + side / 2, y + side / 2)) < side / 2).all(axis=1)
    row: dict[str, Any] = {"region_nuclei": int(inside.sum())}
    for mpp in REFINED_MPPS:
        started = time.perf_counter()
        finer = found.refine(region, mpp)
        row[f"refine_seconds_at_{mpp:g}"] = round(time.perf_counter() - started, 2)
        row[f"refined_at_{mpp:g}_um"] = summary(
            np.hypot(*(finer.map_points(here[inside]) - there[inside]).T), PHANTOM_MPP
        )
    return row


if __name__ == "__main__":
    folder = Path("runs/bench")
    folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(measure(folder), indent=2))
