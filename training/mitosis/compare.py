"""Experiments side by side, as the paper's Table III."""

from pathlib import Path

from training.mitosis.card import best_of
from training.mitosis.evaluate import REPORT, Report
from training.mitosis.scores import Scores

HEADER = "| experiment | network | parameters | real F1 (95 %) | real best | phantom F1 (95 %) | phantom best |"


def comparison(work_dir: Path) -> str:
    """A Markdown table of this experiment and of those beside it that were evaluated on the same data and folds.

    F1 is at thresholds chosen on validation images; "best" is the highest over all thresholds, as the paper reports it.
    """
    own = Report.model_validate_json((work_dir / REPORT).read_text("utf-8"))
    lines = [HEADER, "|" + "---|" * 7]
    for path in sorted(work_dir.parent.glob(f"*/{REPORT}")):
        report = Report.model_validate_json(path.read_text("utf-8"))
        if report.data == own.data and _folds(report) == _folds(own):
            lines += _rows(path.parent.name, report)
    return "\n".join(lines)


def _folds(report: Report) -> set[str]:
    return {name.split("/")[0] for name in report.weights}


def _rows(name: str, report: Report) -> list[str]:
    rows = []
    for network, numbers in report.networks.items():
        real, phantom = _told(numbers.real), _told(numbers.phantom)
        best = (best_of(numbers.curve_real), best_of(numbers.curve_phantom))
        rows.append(f"| {name} | {network} | {report.parameters:,} | {real} | {best[0]} | {phantom} | {best[1]} |")
    return rows


def _told(scores: Scores | None) -> str:
    if scores is None or scores.f1 is None:
        return "-"
    return f"{scores.f1.value:.3f} ({scores.f1.low:.3f} to {scores.f1.high:.3f})"
