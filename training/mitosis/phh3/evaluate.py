"""The chain held against the truth of phantoms that no network has seen. All numbers are of synthetic slides."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import nn

from training.loop.config import code_digest
from training.metrics.detection import match_points
from training.metrics.intervals import Estimate, bootstrap
from training.mitosis.phh3.annotate import Annotation, Judged, annotate, judge
from training.mitosis.phh3.config import Phh3Config
from training.mitosis.phh3.data import (
    ARTEFACT,
    CLASSES,
    MITOSIS,
    Prepared,
    label_candidates,
    open_pair,
    phh3_labels,
)
from training.mitosis.phh3.shift import errors_um, summary_um
from training.mitosis.phh3.train import NAMES, load_nets, new_net
from training.sets.marks import MarkedImage
from training.sets.patch_set import stored_digest
from training.sets.phantoms import TRUTH, marked_phantom

REPORT = "report.json"
CODE = ("mitosis/phh3", "augment", "sets", "loop", "nets", "phantom")
Tell = Callable[[str], None]
Points = NDArray[np.float64]


class PairReport(BaseModel):
    """One phantom pair."""

    name: str
    truth: int
    """Mitoses on the PHH3 slide."""
    candidates: int
    by_kind: dict[str, int]
    """Candidates by what the truth says they are."""
    artefacts_pruned: int
    """By CNN1, whether or not the recipe prunes."""
    mitoses_pruned: int
    phh3: tuple[int, int, int]
    """True positives, false positives and misses on the PHH3 slide."""
    candidate_misses: int
    """Mitoses without a candidate."""
    he: tuple[int, int, int]
    """The same of the annotation on the H&E slide."""
    before_um: dict[str, float]
    after_global_um: dict[str, float]
    after_local_um: dict[str, float]
    global_confidence: float
    local_untrusted: int
    """Mitoses that kept the global shift."""


class Report(BaseModel):
    """`report.json`."""

    synthetic: bool = True
    config: str
    data: str
    code: str
    seed: int
    threads: int
    torch: str
    weights: dict[str, str]
    parameters: int
    match_um: float
    pruned: bool
    f1_phh3: Estimate | None
    """Of mitoses among candidates, before registration; intervals by phantom."""
    f1_he: Estimate | None
    """Of the annotation that the chain gives the H&E slides."""
    pairs: list[PairReport]


@dataclass(frozen=True, eq=False)
class Pair:
    """One phantom pair with all that was found; pictures are made of it."""

    name: str
    kinds: NDArray[np.int64]
    """What each candidate is in truth."""
    judged: Judged
    annotation: Annotation
    report: PairReport


def evaluate_phh3(prepared: Prepared, config: Phh3Config, work_dir: Path, tell: Tell) -> tuple[Report, list[Pair]]:
    """The report over the test phantoms, also written to `report.json`, and what it was made of.

    Raises
    ------
    FileNotFoundError
        A network was not trained to its end.
    """
    nets = load_nets(work_dir, config)
    names, pairs = prepared.part(config.phantom, "test"), []
    for number, name in enumerate(names):
        tell(f"pair {number + 1} of {len(names)}: {name}")
        pairs.append(evaluate_pair(prepared.folder, name, nets, config))
    rows = [pair.report for pair in pairs]
    report = Report(
        config=config.digest(),
        data=stored_digest(prepared.folder / "patches"),
        code=code_digest(*(Path(__file__).parents[2] / name for name in CODE)),
        seed=config.seed,
        threads=config.loop.threads,
        torch=torch.__version__,
        weights={name: hashlib.sha256((work_dir / name / "weights.pt").read_bytes()).hexdigest() for name in NAMES},
        parameters=sum(p.numel() for p in new_net(config).parameters()),
        match_um=config.phantom.match_um,
        pruned=config.prune,
        f1_phh3=_f1([row.phh3 for row in rows], config.seed),
        f1_he=_f1([row.he for row in rows], config.seed),
        pairs=rows,
    )
    (work_dir / REPORT).write_text(report.model_dump_json(indent=1), "utf-8")
    return report, pairs


def evaluate_pair(folder: Path, name: str, nets: Mapping[str, nn.Module], config: Phh3Config) -> Pair:
    """The chain on one phantom pair."""
    phh3, he = open_pair(folder, name, config)
    try:
        judged = judge(phh3, nets, config)
        annotation = annotate(phh3, he, judged, config)
    finally:
        phh3.close()
        he.close()
    image, target = (marked_phantom(folder / "phantoms", name, stain, phh3_labels) for stain in ("phh3", "he"))
    kinds = label_candidates(judged.candidates.points_px, image, config.phantom.match_um)
    reach_px = config.phantom.match_um / image.mpp
    artefact, mitosis = (kinds == CLASSES.index(kind) for kind in (ARTEFACT, MITOSIS))
    pruned = judged.cell < config.threshold
    truth = image.points_px(MITOSIS)
    found = judged.candidates.points_px
    report = PairReport(
        name=name,
        truth=len(truth),
        candidates=len(found),
        by_kind={kind: int((kinds == number).sum()) for number, kind in enumerate(CLASSES)},
        artefacts_pruned=int((artefact & pruned).sum()),
        mitoses_pruned=int((mitosis & pruned).sum()),
        phh3=_counts(found[judged.kept], truth, reach_px),
        candidate_misses=_counts(found, truth, reach_px)[2],
        he=_counts(annotation.he_px[annotation.on_slide], target.points_px(MITOSIS), reach_px),
        global_confidence=annotation.whole.peak.confidence,
        local_untrusted=int((~annotation.local.trusted).sum()),
        **_residuals(folder, name, annotation, image),
    )
    return Pair(name, kinds, judged, annotation, report)


def places_um(folder: Path, name: str) -> tuple[Points, Points]:
    """(n, 2) each: where the mitoses of a phantom lie on its PHH3 and on its H&E slide, row for row."""
    from pyarrow import parquet

    truth = parquet.read_table(folder / "phantoms" / name / TRUTH)
    chosen = np.array([phase != "none" for phase in truth["phase"].to_pylist()], bool)
    mpp = marked_phantom(folder / "phantoms", name, "he", phh3_labels).mpp
    moved = "x_px_phh3" in truth.column_names
    columns = ("x_px_phh3", "y_px_phh3") if moved else ("x_px", "y_px")
    phh3, he = (
        np.stack([truth[c].to_numpy()[chosen] for c in pair], axis=1) * mpp for pair in (columns, ("x_px", "y_px"))
    )
    return phh3, he


def _residuals(folder: Path, name: str, annotation: Annotation, image: MarkedImage) -> dict[str, dict[str, float]]:
    """Distances on H&E from where each true mitosis lies: unmoved, with the global and with the local shift.

    What the networks missed or mistook is left out: this is about places alone.
    """
    phh3_um, he_um = places_um(folder, name)
    found_um = annotation.phh3_px * image.mpp
    pairs = match_points(found_um, phh3_um, 6.0)
    # The candidate's own distance from the nucleus' centre is no error of registration: the shift is held against the
    # true one.
    true_shift = (he_um - phh3_um)[pairs[:, 1]]
    whole = np.array([[annotation.whole.peak.x_um, annotation.whole.peak.y_um]])
    return {
        "before_um": summary_um(errors_um(np.zeros_like(true_shift), true_shift)),
        "after_global_um": summary_um(errors_um(np.broadcast_to(whole, true_shift.shape), true_shift)),
        "after_local_um": summary_um(errors_um(annotation.local.shifts_um[pairs[:, 0]], true_shift)),
    }


def _counts(found: Points, truth: Points, reach_px: float) -> tuple[int, int, int]:
    paired = len(match_points(found, truth, reach_px))
    return paired, len(found) - paired, len(truth) - paired


def _f1(counts: Sequence[tuple[int, int, int]], seed: int) -> Estimate | None:
    """Pooled over phantoms; None where there is nothing to find."""

    def statistic(rows: Sequence[tuple[int, int, int]]) -> float:
        tp, fp, fn = np.sum(rows, axis=0).tolist()
        return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0

    return bootstrap(list(counts), statistic, seed) if sum(row[0] + row[2] for row in counts) else None
