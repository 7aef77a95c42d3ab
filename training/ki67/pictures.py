"""Pictures of the report: confusion matrix, histograms and correlation plots, class maps beside their sections."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.ki67.config import CLASSES
from training.ki67.quantify import Pair
from training.ki67.report import ClassTable, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLASS_COLOURS = ((62, 96, 190), (178, 60, 40), (236, 234, 238))
"""Negative blue, positive red-brown, background pale: colours of the IHC they stand for."""
DAB_COLOURS = ((236, 234, 238), (62, 96, 190), (140, 80, 30))
BLUE, BROWN, GREY = "#3e60be", "#b23c28", "#555555"
BINS = 12
GAP_PX = 6


@dataclass(frozen=True, eq=False)
class Triptych:
    """A pair to look at, with what to call it."""

    title: str
    pair: Pair


def draw_confusion(table: ClassTable, path: Path) -> None:
    """The confusion matrix as counts over shares of the true class."""
    counts = np.array(table.confusion)
    part = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = _figure(5.0, 4.6)
    axes = figure.add_subplot()
    axes.imshow(part, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(CLASSES)):
        for column in range(len(CLASSES)):
            colour = "white" if part[row, column] > 0.5 else "black"
            text = f"{counts[row, column]}\n{100 * part[row, column]:.1f} %"
            axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_yticks(range(len(CLASSES)), CLASSES, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(table.data, fontsize=10)
    figure.savefig(path, dpi=120)


def draw_correlations(report: Report, path: Path) -> None:
    """Histograms of D_pos, D_neg and R_pos in both sections over their correlation plots (Figure 8 of the paper)."""
    he, ihc = np.array([pair.he for pair in report.pairs]), np.array([pair.ihc for pair in report.pairs])
    figure = _figure(11.0, 7.0)
    for column, (name, found) in enumerate(report.correlations.items()):
        x, y = ihc[:, column], he[:, column]
        _histogram(figure.add_subplot(2, 3, column + 1), name, x, y)
        axes = figure.add_subplot(2, 3, column + 4)
        _scatter(axes, x, y)
        axes.set_title(f"{name}: r = {found.r:.2f} ({found.low:.2f} to {found.high:.2f}), {found.n} pairs", fontsize=10)
    figure.suptitle("Phantoms: class map of the H&E against the colours of the Ki-67 section", fontsize=11)
    figure.savefig(path, dpi=120)


def draw_pairs(triptychs: Sequence[Triptych], path: Path) -> None:
    """For each pair a row: H&E, its class map, the Ki-67 section laid onto it, and its three colours (Figure 7)."""
    rows = [_panels(triptych.pair) for triptych in triptychs]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP_PX), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    Image.fromarray(np.concatenate(padded)).save(path)


def _panels(pair: Pair) -> NDArray[np.uint8]:
    classes = np.array(CLASS_COLOURS, np.uint8)[pair.he]
    colours = np.array(DAB_COLOURS, np.uint8)[pair.ihc]
    hidden = ~pair.common
    shown = []
    for seen in (pair.he_rgb, classes, pair.ihc_rgb, colours):
        panel = np.where(hidden[..., None], np.uint8(255), seen)
        shown += [panel, np.full((len(panel), GAP_PX, 3), 255, np.uint8)]
    return np.concatenate(shown[:-1], axis=1)


def _figure(width_in: float, height_in: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _histogram(axes: "Axes", name: str, ihc: NDArray[np.float64], he: NDArray[np.float64]) -> None:
    both: Any = np.histogram_bin_edges(np.concatenate([ihc, he]), BINS)
    axes.hist([ihc, he], bins=both, color=[BROWN, BLUE], label=["Ki-67 section", "H&E class map"])
    axes.set_xlabel(name)
    axes.set_ylabel("pairs")
    axes.locator_params(axis="y", integer=True)
    axes.legend(fontsize=8, frameon=False)


def _scatter(axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    axes.scatter(x, y, s=18, color=BLUE)
    if np.ptp(x) > 0:
        slope, start = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, slope * ends + start, color=GREY, linewidth=1)
    axes.set_xlabel("Ki-67 section")
    axes.set_ylabel("H&E class map")
