"""`report.json` and `report.md`: what was measured, on what, and of which weights."""

import csv
import hashlib
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from training.loop.config import code_digest
from training.metrics.intervals import bootstrap
from training.metrics.numbers import Number, Row

REPORT, REPORT_TEXT = "report.json", "report.md"


class SlideRow(Row):
    """A held-out slide whose true Ki-67 stain lies as its H&E does."""

    name: str
    true_index: float
    """Positive part of the nuclei, by the truth."""
    true_area_index: float
    """Positive part of the nuclei's area, by the truth."""
    real_index: float
    """brown / (brown + blue) of the true Ki-67 stain."""
    virtual_index: float
    """The same of the virtual one."""
    image: dict[str, float]
    """SSIM, MS-SSIM, PSNR and MAE of the virtual stain against the true one."""
    cycle: dict[str, float]
    """The same of tiles of H&E that went there and back."""
    likeness: float
    """Perceptual hash, virtual against true stain."""
    likeness_of_he: float
    """Perceptual hash, H&E as it is against the true stain: what doing nothing scores."""
    nuclei: int
    brown_r: float | None
    """Correlation of how brown the virtual stain is at a nucleus with whether it is positive, over all nuclei.

    None where it has no value: all nuclei of one kind, or of one colour.
    """
    auc: dict[str, float]
    """Positive against negative tumour nuclei, by the brown of `virtual` and `real` stain, and at `best`.

    Empty where the slide has only one of the two.
    """
    seam: float
    """Gradient across tile borders over that beside them, as the engine scores it."""
    seam_in_phase: float
    """The same against places that lie alike on the network's stride grid."""


class MovedRow(Row):
    """A slide whose true Ki-67 stain is a section that was moved, and registered."""

    name: str
    error_um: float
    """Median distance between where registration puts nuclei and where the phantom has them."""
    common: float
    """Part of the slide that both sections show."""
    real_index: float
    virtual_index: float
    image: dict[str, float]
    likeness: float


class Cost(Row):
    """What an epoch took."""

    epochs: int
    wall_s: float
    peak_bytes: int


class Report(Row):
    """All numbers of one run."""

    variant: str
    seed: int
    config: str
    data: dict[str, str]
    code: str
    weights: str
    """SHA-256 of the file of weights."""
    hash_weights: str
    """Which ResNet18 the perceptual hash looks with."""
    threads: int
    machine: str
    epoch: Cost
    guess: float
    """What somebody would say who knows the training tiles only: their brown / (brown + blue)."""
    numbers: tuple[Number, ...]
    slides: tuple[SlideRow, ...]
    moved: tuple[MovedRow, ...]
    lost: tuple[str, ...]
    """Moved sections that could not be registered; left out."""


def mean_number(data: str, name: str, values: Sequence[float], seed: int) -> Number:
    """The mean over phantom slides, with an interval from drawing slides again."""
    found = bootstrap(list(values), lambda rows: float(np.mean(rows)), seed)
    return Number(data=data, name=name, value=found.value, low=found.low, high=found.high, n=found.n, synthetic=True)


def epoch_cost(log: Sequence[Mapping[str, float]]) -> Cost:
    """Wall seconds and peak memory of an epoch, from the run's log."""
    last = log[-1]
    epochs = int(last["epoch"])
    return Cost(epochs=epochs, wall_s=last["wall_s"] / epochs, peak_bytes=int(max(row["peak_bytes"] for row in log)))


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a run's `log.csv`."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def machine_name() -> str:
    """What the numbers were computed on, in words that name no place or person."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_code() -> str:
    """SHA-256 of the code that tiles, weights and numbers depend on."""
    training = Path(__file__).parent.parent
    names = ("virtual_ihc", "loop", "nets", "sets", "phantom", "metrics")
    return code_digest(*(training / name for name in names), training.parent / "models" / "nets")


def write_report(report: Report, work_dir: Path) -> None:
    """The report as JSON and, to be read, as Markdown."""
    (work_dir / REPORT).write_text(report.model_dump_json(indent=1) + "\n", "utf-8")
    (work_dir / REPORT_TEXT).write_text(_as_text(report), "utf-8")


def number_rows(numbers: Sequence[Number]) -> list[str]:
    """The numbers as rows of a Markdown table."""
    head = ["| data | measure | value | 95 % interval | n |", "|---|---|---|---|---|"]
    return head + [f"| {n.data} | {n.name} | {n.value:.3f} | {_interval(n)} | {n.n} |" for n in numbers]


def _interval(number: Number) -> str:
    return "" if number.low is None or number.high is None else f"{number.low:.3f} to {number.high:.3f}"


def _told(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _as_text(report: Report) -> str:
    slides = [
        f"| {s.name} | {s.true_index:.3f} | {s.real_index:.3f} | {s.virtual_index:.3f} | {_told(s.brown_r)} | "
        f"{_told(s.auc.get('virtual'))} | {_told(s.auc.get('best'))} | {s.seam:.3f} | {s.seam_in_phase:.3f} |"
        for s in report.slides
    ]
    moved = [
        f"| {m.name} | {m.error_um:.2f} | {m.common:.2f} | {m.real_index:.3f} | {m.virtual_index:.3f} | "
        f"{m.image['ssim']:.3f} | {m.likeness:.3f} |"
        for m in report.moved
    ]
    lines = [
        f"# Virtual Ki-67, {report.variant}",
        "",
        "Phantoms only: tissue drawn by a program. No number is a clinical claim.",
        "",
        *number_rows(report.numbers),
        "",
        f"Perceptual hash: {report.hash_weights}. Guess from the training tiles: {report.guess:.3f}.",
        "",
        "| slide | true index | true stain | virtual stain | r of brown | AUC | best AUC | seams | in phase |",
        "|---|---|---|---|---|---|---|---|---|",
        *slides,
        "",
        "| moved section | error um | common | true stain | virtual stain | SSIM | hash |",
        "|---|---|---|---|---|---|---|",
        *moved,
        "",
        f"An epoch: {report.epoch.wall_s:.0f} s, {report.epoch.peak_bytes / 2**20:.0f} MiB at most, "
        f"{report.threads} threads, {report.machine}. Seed {report.seed}.",
        f"Recipe {report.config[:12]}, code {report.code[:12]}, weights {report.weights[:12]}.",
    ]
    return "\n".join(lines) + "\n"
