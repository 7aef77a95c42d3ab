"""Numbers of every network of the chain on images it never saw: real by held-out case, phantoms apart."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel

from training.loop.config import code_digest, digest_of
from training.loop.fit import load_weights
from training.mitosis.config import Config, StageKind
from training.mitosis.detect import Detections, Map, find_mitoses, probability_map, thresholds_of
from training.mitosis.fold import Fold, file_digest, network_names, new_network, open_fold, torch_device
from training.mitosis.parts import fold_names
from training.mitosis.prepare import Prepared
from training.mitosis.scores import ImageCounts, Scores, choose_threshold, count_image, curve_of, summarise
from training.sets.marks import MarkedImage
from workers.slides.opening import open_slide

REPORT = "report.json"
ENSEMBLE = "ensemble"
Tell = Callable[[str], None]
CODE = ("mitosis", "augment", "sets", "loop", "nets")


class NetworkReport(BaseModel):
    """One network of the chain, or the ensemble."""

    thresholds: dict[str, float]
    """By fold, each chosen on that fold's validation images."""
    real: Scores | None
    """Over all held-out real images, each at its fold's threshold, by the network that never saw its case."""
    real_cases: dict[str, Scores]
    phantom: Scores | None
    """Of the last fold's network, which is the final one, over the held-out phantoms."""
    curve_real: list[float]
    """F1 at each of the report's thresholds, the same one for all folds; empty where there is no mitosis."""
    curve_phantom: list[float]
    images: list[ImageCounts]


class Report(BaseModel):
    """`report.json`: what was measured, and what of."""

    config: str
    data: str
    code: str
    seed: int
    threads: int
    torch: str
    weights: dict[str, str]
    """SHA-256 by `fold/network`."""
    parameters: int
    """Of the last network."""
    match_um: float
    thresholds: list[float]
    candidate_recall: dict[str, tuple[int, int]]
    networks: dict[str, NetworkReport]


@dataclass(frozen=True, eq=False)
class Found:
    """What a network of a fold found in the images of one part."""

    images: tuple[MarkedImage, ...]
    detections: tuple[Detections, ...]


def evaluate(prepared: Prepared, config: Config, work_dir: Path, tell: Tell) -> Report:
    """The report, which is also written to `report.json`; maps are kept, so that a second run is quick.

    Raises
    ------
    FileNotFoundError
        A network of one of the recipe's folds was not trained to its end.
    """
    folds = [open_fold(prepared, config, work_dir, name) for name in fold_names(prepared.images, config)]
    weights = {f"{f.name}/{n}": file_digest(weights_of(f, n)) for f in folds for n in network_names(config)}
    networks = {name: _network_report(name, folds, tell) for name in scored_names(config)}
    last = network_names(config)[-1]
    report = Report(
        config=config.digest(),
        data=prepared.patches_digest,
        code=code_digest(*(Path(__file__).parents[1] / name for name in CODE)),
        seed=config.seed,
        threads=config.loop.threads,
        torch=torch.__version__,
        weights=weights,
        parameters=sum(p.numel() for p in new_network(config, stage_of(last)).parameters()),
        match_um=config.evaluate.match_um,
        thresholds=list(thresholds_of(config.evaluate)),
        candidate_recall=dict(prepared.candidate_recall),
        networks=networks,
    )
    (work_dir / REPORT).write_text(report.model_dump_json(indent=1), "utf-8")
    return report


def scored_names(config: Config) -> tuple[str, ...]:
    """The rows of the paper's Table III that this chain has: CNN3, one CNN4, the ensemble, CNN5."""
    rows = {"cnn3": ("cnn3",), "cnn4": ("cnn4-0", ENSEMBLE), "cnn5": ("cnn5",)}
    return tuple(name for stage in config.stages for name in rows[stage])


def stage_of(name: str) -> StageKind:
    """The stage that a network of the chain belongs to."""
    return "cnn4" if name.startswith("cnn4") else "cnn5" if name == "cnn5" else "cnn3"


def weights_of(fold: Fold, name: str) -> Path:
    """The weights of a network of a fold.

    Raises
    ------
    FileNotFoundError
        It was not trained to its end.
    """
    path = fold.folder / name / "weights.pt"
    if not path.exists():
        raise FileNotFoundError(f"{fold.name}/{name} has no weights: run `train --fold {fold.name}` first")
    return path


def find_in(fold: Fold, name: str, names: Sequence[str], tell: Tell) -> Found:
    """What a network of a fold finds in these images."""
    images = tuple(image for image in fold.prepared.images if image.name in names)
    config, found = fold.config, []
    for image in images:
        tell(f"{fold.name} {name}: {image.name}")
        found.append(find_mitoses(map_of(fold, name, image), config.data.mpp, config.evaluate))
    return Found(images, tuple(found))


def map_of(fold: Fold, name: str, image: MarkedImage) -> Map:
    """The probability map of an image: of one network, or the mean over the ensemble's."""
    if name == ENSEMBLE:
        members = [n for n in network_names(fold.config) if n.startswith("cnn4")]
        mean: Map = np.mean([map_of(fold, member, image) for member in members], axis=0)
        return mean
    weights = weights_of(fold, name)
    kept = fold.folder / name / "maps" / f"{_plain(image.name)}.npz"
    digest = digest_of(file_digest(weights), str(image.path), str(fold.config.data.mpp))
    if kept.exists():
        with np.load(kept, allow_pickle=False) as stored:
            if str(stored["digest"]) == digest:
                return np.array(stored["map"])
    net = load_weights(new_network(fold.config, stage_of(name)), weights).to(torch_device(fold.config.device))
    slide = open_slide(image.path, image.mpp)
    try:
        found = probability_map(net, slide, fold.config.data.mpp)
    finally:
        slide.close()
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept, map=found, digest=np.array(digest))
    return found


def held_out(fold: Fold, name: str, with_phantoms: bool, tell: Tell) -> Found:
    """What a network finds in the real images of its fold's case and, of the last fold, in the held-out phantoms."""
    names = set(fold.parts.test)
    scored = [i.name for i in fold.prepared.images if i.name in names and (with_phantoms or not i.synthetic)]
    return find_in(fold, name, scored, tell)


def choose_fold_threshold(fold: Fold, name: str, tell: Tell) -> float:
    """The threshold of the highest F1 on validation images: mean of real and synthetic where both have mitoses."""
    config = fold.config
    found = find_in(fold, name, fold.parts.validation, tell)
    tried = thresholds_of(config.evaluate)
    curves = []
    for kind in (False, True):
        rows = [(i, d) for i, d in zip(found.images, found.detections, strict=True) if i.synthetic == kind]
        images, detections = [row[0] for row in rows], [row[1] for row in rows]
        curves.append(curve_of(images, detections, tried, config.data.mpp, config.evaluate.match_um))
    return choose_threshold(curves, tried)


def _network_report(name: str, folds: Sequence[Fold], tell: Tell) -> NetworkReport:
    config = folds[0].config
    mpp, match_um = config.data.mpp, config.evaluate.match_um
    tested: dict[bool, list[tuple[MarkedImage, Detections, float]]] = {False: [], True: []}
    thresholds = {fold.name: choose_fold_threshold(fold, name, tell) for fold in folds}
    for fold in folds:
        found = held_out(fold, name, fold is folds[-1], tell)
        for image, detections in zip(found.images, found.detections, strict=True):
            tested[image.synthetic].append((image, detections, thresholds[fold.name]))
    counts = {kind: [count_image(i, d, t, mpp, match_um) for i, d, t in rows] for kind, rows in tested.items()}
    curves = {
        kind: curve_of([r[0] for r in rows], [r[1] for r in rows], thresholds_of(config.evaluate), mpp, match_um)
        for kind, rows in tested.items()
    }
    cases = sorted({row.case for row in counts[False]})
    return NetworkReport(
        thresholds=thresholds,
        real=summarise(counts[False], config.seed) if counts[False] else None,
        real_cases={case: summarise([c for c in counts[False] if c.case == case], config.seed) for case in cases},
        phantom=summarise(counts[True], config.seed) if counts[True] else None,
        curve_real=curves[False],
        curve_phantom=curves[True],
        images=[*counts[False], *counts[True]],
    )


def _plain(name: str) -> str:
    """A name that is safe as a file's."""
    return f"{''.join(c if c.isalnum() else '-' for c in name)[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
