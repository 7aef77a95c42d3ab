"""Pictures of a report: F1 against threshold, and sheets of what was found, missed and mistaken."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.metrics.detection import match_points
from training.mitosis.config import Config
from training.mitosis.detect import Detections
from training.mitosis.evaluate import Report, held_out
from training.mitosis.fold import network_names, open_fold
from training.mitosis.parts import fold_names
from training.mitosis.prepare import Prepared
from training.mitosis.scores import truth_px
from training.sets.marks import MarkedImage
from training.sets.patch_set import cut_patches
from workers.slides.opening import open_slide

Bytes = NDArray[np.uint8]
Points = NDArray[np.float64]
KINDS = {"found": (0, 150, 70), "missed": (230, 150, 0), "false": (210, 30, 50)}
"""Rims of the patches: right, not found, no mitosis according to the marks."""
COLUMNS, RIM_PX = 12, 3
NAMES = {
    "cnn3": "CNN3, easy patches",
    "cnn4-0": "one CNN4, hard patches",
    "ensemble": "ensemble",
    "cnn5": "CNN5, distilled",
}


def draw_pictures(prepared: Prepared, config: Config, work_dir: Path, report: Report) -> tuple[Path, ...]:
    """The pictures of a report in `<work>/pictures`: the curves, and a sheet of findings for real and for phantom."""
    folder, name = work_dir / "pictures", network_names(config)[-1]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "f1-threshold.png"]
    draw_curves(report, paths[0])
    folds = [open_fold(prepared, config, work_dir, fold) for fold in fold_names(prepared.images, config)]
    sorted_out = []
    for fold in folds:
        found = held_out(fold, name, fold is folds[-1], lambda _: None)
        threshold = report.networks[name].thresholds[fold.name]
        for image, detections in zip(found.images, found.detections, strict=True):
            places = sort_findings(image, detections, threshold, config.data.mpp, config.evaluate.match_um)
            sorted_out.append((image, places))
    for synthetic, file in ((False, "findings-real.png"), (True, "findings-phantom.png")):
        own = [row for row in sorted_out if row[0].synthetic == synthetic]
        if own:
            paths.append(folder / file)
            draw_sheet(own, paths[-1], config.data.mpp)
    return tuple(paths)


def draw_curves(report: Report, path: Path) -> None:
    """F1 against detection threshold, real and phantom side by side, one line for each network: the paper's Fig. 7."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    titles = ("real, held-out cases", "phantoms, held out (synthetic)")
    for number, title in enumerate(titles):
        axes = figure.add_subplot(1, 2, number + 1, title=title, xlabel="detection threshold", ylabel="F1", ylim=(0, 1))
        for name, network in report.networks.items():
            curve = network.curve_phantom if number else network.curve_real
            if curve:
                axes.plot(report.thresholds, curve, label=NAMES.get(name, name))
        axes.set_xlim(report.thresholds[0], 1)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path)


def sort_findings(
    image: MarkedImage, found: Detections, threshold: float, mpp: float, match_um: float
) -> dict[str, Points]:
    """Places in px of the frame at `mpp`: mitoses found, mitoses missed, detections that are none."""
    kept, truth = found.points_px[found.probability >= threshold], truth_px(image, mpp)
    pairs = match_points(kept, truth, match_um / mpp)
    hit, paired = np.isin(np.arange(len(truth)), pairs[:, 1]), np.isin(np.arange(len(kept)), pairs[:, 0])
    return {"found": truth[hit], "missed": truth[~hit], "false": kept[~paired]}


def draw_sheet(
    findings: Sequence[tuple[MarkedImage, Mapping[str, Points]]], path: Path, mpp: float, most: int = 48
) -> None:
    """Patches of 64 px by kind, at most `most` of each, with coloured rims; green found, orange missed, red false."""
    rows: list[Bytes] = []
    for kind, colour in KINDS.items():
        patches: list[Bytes] = []
        for image, places in findings:
            if len(places[kind]) and len(patches) < most:
                slide = open_slide(image.path, image.mpp)
                try:
                    cut = cut_patches(slide, places[kind][: most - len(patches)] * (mpp / image.mpp), 64, mpp)
                finally:
                    slide.close()
                patches += [_rimmed(patch, colour) for patch in cut]
        rows += _in_rows(patches)
    Image.fromarray(np.concatenate(rows) if rows else np.full((8, 8, 3), 255, np.uint8)).save(path)


def _rimmed(patch: Bytes, colour: tuple[int, int, int]) -> Bytes:
    framed = np.empty((patch.shape[0] + 2 * RIM_PX, patch.shape[1] + 2 * RIM_PX, 3), np.uint8)
    framed[:] = colour
    framed[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = patch
    return framed


def _in_rows(patches: Sequence[Bytes]) -> list[Bytes]:
    rows = []
    for start in range(0, len(patches), COLUMNS):
        row = list(patches[start : start + COLUMNS])
        row += [np.full_like(row[0], 255)] * (COLUMNS - len(row))
        rows.append(np.concatenate(row, axis=1))
    return rows
