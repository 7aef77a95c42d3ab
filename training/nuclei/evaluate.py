"""Held-out numbers of the recipe by cross-validation, and recall of the final network on data it never saw."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel
from torch import nn

from training.metrics.instances import Matches, aji, match
from training.metrics.intervals import Estimate, bootstrap
from training.metrics.masks import dice
from training.nuclei.config import Config
from training.nuclei.data import Prepared
from training.nuclei.pictures import side_by_side
from training.nuclei.predict import find_nuclei, predict_logits
from training.nuclei.sources import RGB, Instances
from training.nuclei.train import Run, load_network

REPORT = "report.json"
BRECAHAD_SHRINK = 2
"""BreCaHAD is 40x: about 0.25 um/px."""
BRECAHAD_NUCLEI = ("Tumor_nuclei", "Non_tumor_nuclei")


@dataclass(frozen=True)
class Score:
    """One held-out image."""

    data: str
    image: str
    fold: int
    dice: float
    aji: float
    matches: Matches


@dataclass(frozen=True)
class Recall:
    """Marked nuclei of one image of BreCaHAD, and how many of the marks lie on a predicted nucleus."""

    case: str
    image: str
    marked: int
    found: int
    by_chance: float
    """Share of the image that predicted nuclei cover: the recall of marks thrown at random."""


class Report(BaseModel):
    """`report.json`: the numbers of one recipe on one state of the data."""

    config: str
    data: dict[str, str]
    estimates: dict[str, Estimate]
    images: tuple[Score, ...]
    brecahad: tuple[Recall, ...]


def evaluate(prepared: Prepared, config: Config, work_dir: Path, data_dir: Path) -> Report:
    """The report: scores of every held-out image, estimates per data set, recall on BreCaHAD; also in `report.json`.

    Every fold is scored by the network that did not train on it. BreCaHAD is scored by the final network.

    Raises
    ------
    FileNotFoundError
        A fold or the final network was not trained yet.
    """
    scores: list[Score] = []
    for fold in range(config.data.folds):
        net = load_network(config, Run.of(work_dir, fold).weights)
        scores += score_fold(net, prepared, fold, config, work_dir / "pictures")
    final = load_network(config, Run.of(work_dir, None).weights)
    recalls = brecahad_recall(final, data_dir / "mitosis_brecahad", config)
    report = Report(
        config=config.digest(),
        data=prepared.digests,
        estimates=estimates(scores, recalls, config.seed),
        images=tuple(scores),
        brecahad=tuple(recalls),
    )
    (work_dir / REPORT).write_text(report.model_dump_json(indent=1), "utf-8")
    return report


def score_fold(net: nn.Module, prepared: Prepared, fold: int, config: Config, pictures: Path) -> list[Score]:
    """Scores of the images held out in `fold`, and a picture of each."""
    pictures.mkdir(parents=True, exist_ok=True)
    scores = []
    for sample in prepared.part(fold, held_out=True):
        found = find_nuclei(predict_logits(net, sample.image), config.data.mpp, config.grid)
        data = f"{sample.source}:{sample.kind}"
        scores.append(score(sample.instances, found, data, sample.name, fold))
        picture = side_by_side(sample.image, sample.instances, found)
        Image.fromarray(picture).save(pictures / f"{sample.source}-{sample.name}.png")
    return scores


def score(truth: Instances, found: Instances, data: str, image: str, fold: int) -> Score:
    """Dice of the foreground, AJI, and objects matched at IoU above one half."""
    return Score(data, image, fold, dice(truth > 0, found > 0), aji(truth, found), match(truth, found))


def estimates(scores: Sequence[Score], recalls: Sequence[Recall], seed: int) -> dict[str, Estimate]:
    """Estimates with 95 % intervals by `<data>/<metric>`: Dice and AJI are means over images, F1 pools the nuclei.

    Intervals are bootstrapped over images, of BreCaHAD over images as well: its three cases are too few to draw from.
    """
    found: dict[str, Estimate] = {}
    for data in sorted({s.data for s in scores}):
        rows = [s for s in scores if s.data == data]
        found[f"{data}/dice"] = bootstrap(rows, lambda part: float(np.mean([s.dice for s in part])), seed)
        found[f"{data}/aji"] = bootstrap(rows, lambda part: float(np.mean([s.aji for s in part])), seed)
        found[f"{data}/f1"] = bootstrap(rows, _pooled_f1, seed)
    if recalls:
        found["mitosis_brecahad/recall"] = bootstrap(list(recalls), _pooled_recall, seed)
        covered = bootstrap(list(recalls), lambda part: float(np.mean([r.by_chance for r in part])), seed)
        found["mitosis_brecahad/covered"] = covered
    return found


def brecahad_recall(net: nn.Module, folder: Path, config: Config) -> list[Recall]:
    """Recall on the marked nuclei of BreCaHAD, image by image; not every nucleus is marked, hence no precision."""
    marks = _brecahad_marks(folder / "cells.csv")
    recalls = []
    for path in sorted((folder / "images").iterdir()):
        image: RGB = np.asarray(Image.open(path).convert("RGB").reduce(BRECAHAD_SHRINK))
        covered = find_nuclei(predict_logits(net, image), config.data.mpp, config.grid) > 0
        places = [(int(x / BRECAHAD_SHRINK), int(y / BRECAHAD_SHRINK)) for x, y in marks.get(path.stem, [])]
        inside = [(x, y) for x, y in places if x < image.shape[1] and y < image.shape[0]]
        hits = sum(bool(covered[y, x]) for x, y in inside)
        recalls.append(Recall(path.stem.split("-")[0], path.stem, len(inside), hits, float(covered.mean())))
    return recalls


def _brecahad_marks(path: Path) -> dict[str, list[tuple[float, float]]]:
    marks: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["class_name"] in BRECAHAD_NUCLEI:
                marks.setdefault(row["filename"], []).append((float(row["x_center"]), float(row["y_center"])))
    return marks


def _pooled_f1(scores: Sequence[Score]) -> float:
    return sum((s.matches for s in scores), Matches(0, 0, 0)).f1


def _pooled_recall(recalls: Sequence[Recall]) -> float:
    marked = sum(r.marked for r in recalls)
    return sum(r.found for r in recalls) / marked if marked else 1.0
