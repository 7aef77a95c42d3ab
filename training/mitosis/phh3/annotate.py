"""The chain on one pair of slides: brown components, which of them are mitoses, and where those lie on H&E."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from training.mitosis.feeding import patch_probabilities
from training.mitosis.phh3.candidates import Candidates, find_brown
from training.mitosis.phh3.config import Phh3Config
from training.mitosis.phh3.data import CLASSES, MITOSIS
from training.mitosis.phh3.shift import GlobalShift, LocalShifts, global_shift, local_shifts
from training.sets.patch_set import PatchSet, cut_patches
from workers.slides.slide import Slide

Points = NDArray[np.float64]
COLUMNS = ("image", "x", "y", "label", "confidence", "shift", "x_phh3", "y_phh3", "shift_x_um", "shift_y_um")


@dataclass(frozen=True, eq=False)
class Judged:
    """Candidates of a PHH3 slide with the probabilities of both networks."""

    candidates: Candidates
    patches: PatchSet
    cell: Points
    """CNN1: no artefact."""
    mitosis: Points
    """CNN2."""
    kept: NDArray[np.bool_]
    """Mitoses, as the recipe decides."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """Mitoses of a pair of slides."""

    phh3_px: Points
    """(n, 2): level-0 px of the PHH3 slide."""
    he_px: Points
    """(n, 2): level-0 px of the H&E slide."""
    on_slide: NDArray[np.bool_]
    """Whether the place lies on the H&E slide at all."""
    confidence: Points
    """CNN2's probability."""
    whole: GlobalShift
    local: LocalShifts


def judge(phh3: Slide, nets: Mapping[str, nn.Module], config: Phh3Config) -> Judged:
    """The candidates of a PHH3 slide, judged."""
    candidates = find_brown(phh3, config.dab)
    points, count = candidates.points_px, len(candidates.points_px)
    patches = PatchSet(
        pixels=cut_patches(phh3, points, config.net.patch_px, config.dab.mpp),
        labels=np.zeros(count, np.int64),
        classes=CLASSES,
        images=np.full(count, "phh3"),
        cases=np.full(count, "phh3"),
        x_px=points[:, 0],
        y_px=points[:, 1],
        synthetic=np.full(count, False),
        mpp=config.dab.mpp,
    )
    rows = np.arange(count)
    cell, mitosis = (patch_probabilities(nets[name], patches, rows, config.net.crop_px) for name in ("cnn1", "cnn2"))
    kept = mitosis >= config.threshold
    if config.prune:
        kept &= cell >= config.threshold
    return Judged(candidates, patches, cell, mitosis, kept)


def annotate(phh3: Slide, he: Slide, judged: Judged, config: Phh3Config) -> Annotation:
    """The mitoses of a PHH3 slide on the H&E slide of the same section.

    A candidate without a local shift that can be trusted keeps the global one.

    Raises
    ------
    ValueError
        The global shift cannot be trusted: its peak is not above the noise. Nothing is annotated then, for wrong places
        would be worse than none.
    """
    config_ = config.registration
    whole = global_shift(phh3, he, config_, config.seed)
    if not whole.trusted:
        raise ValueError(
            f"the two slides cannot be aligned: the peak's confidence is {whole.peak.confidence:.2f} and "
            f"{config_.whole.least_confidence:g} is asked for; look whether they show the same section, raise range_um"
        )
    points_px = judged.candidates.points_px[judged.kept]
    points_um = points_px * phh3.info.mpp
    local = local_shifts(phh3, he, points_um, whole.peak, config_.local)
    he_px = (points_um + local.shifts_um) / he.info.mpp
    x, y = he_px.T
    on_slide = (x >= 0) & (y >= 0) & (x < he.info.width_px) & (y < he.info.height_px)
    return Annotation(points_px, he_px, on_slide, judged.mitosis[judged.kept], whole, local)


def write_csv(annotation: Annotation, image: str, path: Path) -> int:
    """The number of mitoses written: a table that `training.sets` reads as labels of the H&E slide `image`.

    `x` and `y` are level-0 px of the H&E slide; `shift` says whether the local or the global one was used.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in np.flatnonzero(annotation.on_slide).tolist():
            kind = "local" if annotation.local.trusted[row] else "global"
            places = (*annotation.phh3_px[row].tolist(), *annotation.local.shifts_um[row].tolist())
            x, y = (f"{value:.2f}" for value in annotation.he_px[row].tolist())
            plain = [f"{value:.2f}" for value in places]
            writer.writerow([image, x, y, MITOSIS, f"{annotation.confidence[row]:.4f}", kind, *plain])
    return int(annotation.on_slide.sum())


def write_candidates(candidates: Candidates, image: str, path: Path) -> int:
    """The number of candidates written, for readers to label: image, x, y in level-0 px, area and an empty label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "x", "y", "area_um2", "label"))
        for (x, y), area in zip(candidates.points_px.tolist(), candidates.area_um2.tolist(), strict=True):
            writer.writerow((image, f"{x:.2f}", f"{y:.2f}", f"{area:.2f}", ""))
    return len(candidates.points_px)
