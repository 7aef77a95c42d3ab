"""`report.json`: what was measured, on what, and of which weights."""

import csv
import hashlib
import platform
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from training.deepliif.config import Config
from training.loop.config import code_digest

REPORT = "report.json"


class Row(BaseModel):
    """A frozen table of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Row):
    """A row of the table of D6; the interval holds 95 % and is drawn over pictures."""

    data: str
    metric: str
    of: str
    how: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    synthetic: bool


class PictureRow(Row):
    """Cells of one held-out picture, by the truth and by the networks."""

    name: str
    source: str
    true_cells: int
    true_positive: int
    found_cells: int
    found_positive: int


class RealRow(Row):
    """Cells found in a real IHC picture that has no labels."""

    name: str
    mpp: float
    cells: int
    positive: int
    percent_positive: float
    size_thresh: int
    note: str


class CountRow(Row):
    """What another program counted on the same picture."""

    name: str
    detection_threshold: float
    dab_threshold: float
    cells: int
    percent_positive: float


class Report(Row):
    """All numbers of one training."""

    seed: int
    config: str
    data: dict[str, str]
    code: str
    weights: dict[str, str]
    """SHA-256 of the file of each network."""
    threads: int
    machine: str
    mode: str
    epochs: int
    epoch_wall_s: float | None
    peak_bytes: int | None
    parameters: int
    pictures: dict[str, dict[str, int]]
    numbers: tuple[Number, ...]
    held_out: tuple[PictureRow, ...]
    real: tuple[RealRow, ...]
    counted: tuple[CountRow, ...]


def machine_name() -> str:
    """What the numbers were computed on, in words that name no place or person."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_code() -> str:
    """SHA-256 of the code that pictures, weights and numbers depend on."""
    training = Path(__file__).parent.parent
    repository = training.parent
    names = ("deepliif", "loop", "metrics", "phantom")
    return code_digest(
        *(training / n for n in names), repository / "models" / "nets", repository / "workers" / "deepliif"
    )


def cost_of(log: Path) -> tuple[float | None, int | None]:
    """Wall seconds of an epoch, on the mean, and the most memory that was used, by a run's log."""
    if not log.is_file():
        return None, None
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return None, None
    return float(rows[-1]["wall_s"]) / len(rows), int(max(float(row["peak_bytes"]) for row in rows))


def read_report(config: Config, work_dir: Path, weights: dict[str, str]) -> Report:
    """The report, once it is sure that it is of this recipe and of these weights.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is of another recipe or of other weights.
    """
    path = work_dir / REPORT
    if not path.exists():
        raise FileNotFoundError(f"there is no {REPORT} in {work_dir}: run `evaluate` first")
    report = Report.model_validate_json(path.read_text("utf-8"))
    if report.config != config.digest() or report.mode != config.package.mode:
        raise ValueError("the report is of another recipe: run evaluate again")
    if report.weights != weights:
        raise ValueError("the report is of other weights: run evaluate again")
    return report


def report_text(report: Report) -> str:
    """The report as Markdown: real and drawn tissue apart."""
    lines = [f"# DeepLIIF networks, {report.mode}", ""]
    cost = "not logged" if report.epoch_wall_s is None else f"{report.epoch_wall_s:.1f} s"
    peak = "not logged" if report.peak_bytes is None else f"{report.peak_bytes / 1e9:.2f} GB"
    lines += [
        f"{report.parameters:,} parameters, {report.epochs} epochs; {cost} an epoch, {peak} at most, "
        f"{report.threads} threads.",
        f"Seed {report.seed}, recipe {report.config[:12]}, code {report.code[:12]}, {report.machine}.",
        "",
    ]
    for data in dict.fromkeys(number.data for number in report.numbers):
        lines += [f"## {data}", "", "| metric | of | how | value | 95 % interval | n |", "|---|---|---|---|---|---|"]
        lines += [number_line(number) for number in report.numbers if number.data == data]
        lines.append("")
    lines += real_lines(report)
    return "\n".join(lines) + "\n"


def real_lines(report: Report) -> list[str]:
    """What was found in real IHC, beside what others counted."""
    if not report.real:
        return []
    lines = ["## Real IHC, no labels", "", "| picture | by | cells | % positive |", "|---|---|---|---|"]
    lines += [f"| {r.name} | these networks ({r.note}) | {r.cells} | {r.percent_positive:.1f} |" for r in report.real]
    lines += [
        f"| {c.name} | QuPath, detection {c.detection_threshold:g}, DAB {c.dab_threshold:g} | {c.cells} "
        f"| {c.percent_positive:.1f} |"
        for c in report.counted
    ]
    if report.counted:
        lines += ["", "QuPath's counts are another program's opinion and no truth."]
    return [*lines, ""]


def number_line(number: Number) -> str:
    """A number as a line of a table."""
    value = "none" if number.value is None else f"{number.value:.4g}"
    interval = "" if number.low is None or number.high is None else f"{number.low:.4g} to {number.high:.4g}"
    return f"| {number.metric} | {number.of} | {number.how} | {value} | {interval} | {number.n} |"
