"""All numbers of the final network and of the folds: patches, maps at cell centres, slides, pairs of sections."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.ki67.config import BACKGROUND, CLASSES, NEGATIVE, POSITIVE, Config
from training.ki67.data import PAIRS, PHANTOMS, TEST, TRAIN, Prepared, read_part, read_prepared
from training.ki67.dense_map import class_at, class_map
from training.ki67.origin import origin_of
from training.ki67.phantoms import Truth, best_possible, pair_specs, read_truth
from training.ki67.pictures import Triptych, draw_confusion, draw_correlations, draw_pairs
from training.ki67.quantify import compare, read_pair, shares
from training.ki67.report import (
    REPORT,
    ClassTable,
    PairRow,
    Report,
    SlideRow,
    accuracy_of,
    by_case,
    file_digest,
    machine_name,
    own_code,
    table_of,
)
from training.ki67.train import parts_of, patch_logits, run_name, trained
from training.metrics.classification import accuracy, auc, confusion_matrix
from training.metrics.intervals import bootstrap
from training.metrics.numbers import Number
from training.nets.resnet18 import Ki67Net
from training.sets.patch_set import PatchSet
from training.sets.phantoms import TRUTH
from workers.measures.correlation import Correlation, correlate
from workers.registration.errors import RegistrationFailedError
from workers.slides.opening import open_slide

Progress = Callable[[str, int, int], None]
Labels = NDArray[np.int64]
MEASURES = ("D_pos", "D_neg", "R_pos")


def evaluate(config: Config, work_dir: Path, progress: Progress) -> Report:
    """The report, also written as `report.json`, and its pictures in `pictures`.

    Raises
    ------
    FileNotFoundError
        The final network was not trained. Folds that were not trained are left out of the report.
    """
    prepared = read_prepared(config, work_dir)
    net = trained(config, work_dir, None)
    test, training = read_part(config, work_dir, TEST), read_part(config, work_dir, TRAIN)
    numbers, tables = patch_numbers(net, test, config)
    numbers += [_training_number(net, training, config)]
    found, slides = map_numbers(net, test, prepared, config, progress)
    folds = fold_accuracies(config, work_dir, progress)
    pairs, lost, triptychs = pair_rows(net, config, work_dir, progress)
    correlations = correlations_of(pairs, config.seed)
    report = Report(
        seed=config.seed,
        config=config.digest(),
        data=prepared.digests,
        code=own_code(),
        weights=file_digest(work_dir / run_name(None) / "weights.pt"),
        start=origin_of(config, work_dir),
        threads=config.loop.threads,
        machine=machine_name(),
        numbers=(*numbers, *limit_numbers(net, test, work_dir, config), *found, *fold_numbers(folds, training)),
        tables=tuple(tables),
        folds=folds,
        slides=slides,
        pairs=pairs,
        lost_pairs=lost,
        correlations=correlations,
    )
    (work_dir / REPORT).write_text(report.model_dump_json(indent=1) + "\n", "utf-8")
    _draw(report, triptychs, work_dir / "pictures")
    return report


def patch_numbers(net: Ki67Net, test: PatchSet, config: Config) -> tuple[list[Number], list[ClassTable]]:
    """Accuracy and class scores on held-out patches, real and synthetic ones apart."""
    numbers, tables = [], []
    for synthetic in (False, True):
        part = test.take(test.synthetic == synthetic)
        if not len(part):
            continue
        predicted = patch_logits(net, part, config.augment.shift_px).argmax(1)
        data = f"held-out {_kind(synthetic)}, patches"
        where = (data, "accuracy, three classes", synthetic)
        numbers.append(by_case(where, part.cases, accuracy_of(part.labels, predicted), config.seed))
        tables.append(table_of(data, synthetic, part.labels, predicted))
    return numbers, tables


def limit_numbers(net: Ki67Net, test: PatchSet, work_dir: Path, config: Config) -> list[Number]:
    """Positive against negative cells of held-out phantoms, beside what is possible at best on the very same cells."""
    cells = test.take(test.synthetic & (test.labels != BACKGROUND))
    if not len(cells):
        return []
    truth = _truth_of(cells, work_dir)
    logits = patch_logits(net, cells, config.augment.shift_px)
    score, positive = logits[:, POSITIVE] - logits[:, NEGATIVE], cells.labels == POSITIVE
    limit = best_possible(truth.llr, truth.kind, positive)
    data = "held-out phantoms, cells"
    numbers = []
    for name, right in (("network", (score > 0) == positive), ("best possible", limit == positive)):
        where = (data, f"accuracy of positive against negative, {name}", True)
        numbers.append(by_case(where, cells.cases, _mean_of(right), config.seed))
    tumour = np.flatnonzero((truth.kind == "tumour") & np.isfinite(truth.llr))
    for name, values in (("network", score), ("best possible", truth.llr)):
        where = ("held-out phantoms, tumour cells", f"AUC of positive against negative, {name}", True)
        statistic = _auc_of(np.asarray(values, np.float64)[tumour], positive[tumour])
        numbers.append(by_case(where, cells.cases[tumour], statistic, config.seed))
    return numbers


def map_numbers(
    net: Ki67Net, test: PatchSet, prepared: Prepared, config: Config, progress: Progress
) -> tuple[list[Number], tuple[SlideRow, ...]]:
    """What the slide's class map says at the centres of the held-out patches, and the area it gives positive cells."""
    names = np.unique(test.images)
    predicted = np.zeros(len(test), np.int64)
    slides = []
    for done, name in enumerate(names):
        image, rows = prepared.image(str(name)), test.images == name
        slide = open_slide(Path(image.path), image.mpp)
        try:
            classes, cell_px = class_map(net, slide, config.data.mpp, config.package)
        finally:
            slide.close()
        predicted[rows] = class_at(classes, cell_px, test.x_px[rows], test.y_px[rows])
        if image.synthetic:
            truth = read_truth(Path(image.path).with_name(TRUTH))
            true = float(truth.area_um2[truth.positive].sum() / truth.area_um2.sum())
            slides.append(SlideRow(name=str(name), found=shares(classes, POSITIVE, NEGATIVE)[2], true=true))
        progress("class maps", done + 1, len(names))
    numbers = []
    for synthetic in np.unique(test.synthetic):
        rows = np.flatnonzero(test.synthetic == synthetic)
        where = (
            f"held-out {_kind(synthetic)}, class map at the same places",
            "accuracy, three classes",
            bool(synthetic),
        )
        numbers.append(by_case(where, test.cases[rows], accuracy_of(test.labels[rows], predicted[rows]), config.seed))
    return [*numbers, *_slide_numbers(slides, config.seed)], tuple(slides)


def fold_accuracies(config: Config, work_dir: Path, progress: Progress) -> tuple[float, ...]:
    """The accuracy of each fold's network on the cases it held out; folds that were not trained are left out."""
    found = []
    for fold in range(config.data.folds):
        if (work_dir / run_name(fold) / "weights.pt").exists():
            held_out = parts_of(config, work_dir, fold)[1]
            predicted = patch_logits(trained(config, work_dir, fold), held_out, config.augment.shift_px).argmax(1)
            found.append(accuracy(confusion_matrix(held_out.labels, predicted, len(CLASSES))))
        progress("folds", fold + 1, config.data.folds)
    return tuple(found)


def fold_numbers(folds: Sequence[float], training: PatchSet) -> list[Number]:
    """Mean and spread over the folds; nothing below two of them."""
    if len(folds) < 2:
        return []
    synthetic = bool(training.synthetic.any())
    data = f"{len(folds)}-fold cross-validation by case"
    values = {"mean accuracy": np.mean(folds), "standard deviation of accuracy": np.std(folds, ddof=1)}
    return [
        Number(data=data, name=name, value=float(value), n=len(folds), synthetic=synthetic)
        for name, value in values.items()
    ]


def pair_rows(
    net: Ki67Net, config: Config, work_dir: Path, progress: Progress
) -> tuple[tuple[PairRow, ...], tuple[str, ...], tuple[Triptych, ...]]:
    """The shares of every pair, the pairs that could not be registered, and three to look at."""
    rows, lost, seen = [], [], []
    specs = pair_specs(config.data.pairs, config.data.phantom)
    shown = {0, len(specs) // 2, len(specs) - 1}
    by_index = sorted(specs, key=lambda name: specs[name].ki67)
    for done, name in enumerate(by_index):
        folder = work_dir / PAIRS / name
        try:
            pair = read_pair(net, (folder / "he.tiff", folder / "ki67.tiff"), specs[name], config)
            rows.append(compare(name, pair))
            if done in shown:
                seen.append(Triptych(f"{name}, Ki-67 {specs[name].ki67:.2f}", pair))
        except RegistrationFailedError:
            lost.append(name)
        progress("pairs of sections", done + 1, len(specs))
    return tuple(rows), tuple(lost), tuple(seen)


def correlations_of(pairs: Sequence[PairRow], seed: int) -> dict[str, Correlation]:
    """Pearson's r of D_pos, D_neg and R_pos between the sections; nothing below three pairs."""
    if len(pairs) < 3:
        return {}
    he, ihc = np.array([pair.he for pair in pairs]), np.array([pair.ihc for pair in pairs])
    return {name: correlate(he[:, i], ihc[:, i], seed) for i, name in enumerate(MEASURES)}


def _training_number(net: Ki67Net, training: PatchSet, config: Config) -> Number:
    predicted = patch_logits(net, training, config.augment.shift_px).argmax(1)
    where = ("training patches", "accuracy, three classes", bool(training.synthetic.any()))
    return by_case(where, training.cases, accuracy_of(training.labels, predicted), config.seed)


def _slide_numbers(slides: Sequence[SlideRow], seed: int) -> list[Number]:
    """How far R_pos of a slide is from the true share of area."""
    if not slides:
        return []
    found = bootstrap(list(slides), lambda rows: float(np.mean([abs(row.found - row.true) for row in rows])), seed)
    bias = bootstrap(list(slides), lambda rows: float(np.mean([row.found - row.true for row in rows])), seed)
    names = {"mean absolute error of R_pos against the true areas": found, "mean error of R_pos": bias}
    return [
        Number(
            data="held-out phantoms, slides", name=name, value=e.value, low=e.low, high=e.high, n=e.n, synthetic=True
        )
        for name, e in names.items()
    ]


def _truth_of(cells: PatchSet, work_dir: Path) -> Truth:
    """The truth's rows of these very cells, in their order."""
    parts: list[tuple[Labels, Truth, Labels]] = []
    for name in np.unique(cells.images):
        rows = np.flatnonzero(cells.images == name)
        truth = read_truth(work_dir / PHANTOMS / str(name) / TRUTH)
        places = {place: row for row, place in enumerate(zip(truth.x_px.tolist(), truth.y_px.tolist(), strict=True))}
        chosen = [places[place] for place in zip(cells.x_px[rows].tolist(), cells.y_px[rows].tolist(), strict=True)]
        parts.append((rows, truth, np.array(chosen, np.int64)))
    order = np.argsort(np.concatenate([rows for rows, _, _ in parts]), kind="stable")
    columns = {
        name: np.concatenate([getattr(truth, name)[chosen] for _, truth, chosen in parts])[order]
        for name in ("x_px", "y_px", "positive", "llr", "kind", "area_um2")
    }
    return Truth(**columns)


def _kind(synthetic: bool) -> str:
    return "phantoms" if synthetic else "images"


def _mean_of(right: NDArray[np.bool_]) -> Callable[[Labels], float]:
    return lambda rows: float(right[rows].mean())


def _auc_of(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Callable[[Labels], float]:
    return lambda rows: auc(scores[rows], positive[rows])


def _draw(report: Report, triptychs: Sequence[Triptych], folder: Path) -> None:
    """All pictures of the report."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in report.tables:
        draw_confusion(table, folder / f"confusion-{_kind(table.synthetic)}.png")
    if report.correlations:
        draw_correlations(report, folder / "correlation.png")
    if triptychs:
        draw_pairs(triptychs, folder / "pairs.png")
