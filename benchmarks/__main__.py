"""`make bench`: everything that is measured, in one run, as benchmarks/report.json and benchmarks/REPORT.md.

Figures drift between machines and hours: quote the ratios.
"""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import growth, limits, machine, memory, million, pipeline, reading, registration, service, writing
from benchmarks.report import write_report
from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom

REPORT = Path(__file__).parent / "report.json"
PACKAGE = "nuclei"
PARTS = ("reading", "writing", "pipeline", "service", "memory", "registration", "limits", "growth", "million")
MEMORY_MPP = 0.5
TISSUE = {5000: 0.6, 8000: 0.4, 15000: 0.3, 50000: 0.02}
"""Part of each slide that is tissue: the largest is sparse."""


def main() -> None:
    """Measure what was asked for and write the report, keeping the figures of other parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--side", type=int, default=20000, help="side of the slide for reading, px")
    parser.add_argument("--work", type=Path, default=Path("runs/bench"), help="where slides are kept between runs")
    parser.add_argument("--small", action="store_true", help="growth on little tissue, each slide once")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    parts = _parts(arguments.work, arguments.side, small=arguments.small)
    for name in arguments.only or list(parts):
        sys.stderr.write(f"measuring {name} ...\n")
        about = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine.describe()}
        figures = about | parts[name]()
        # Read now: what another run has measured meanwhile stays.
        report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
        report[name] = figures
        REPORT.write_text(json.dumps(report, indent=2) + "\n")
        write_report(report, REPORT.with_name("REPORT.md"))
        sys.stderr.write(json.dumps(report[name], indent=2) + "\n")


def _parts(work: Path, side: int, *, small: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    return {
        "reading": lambda: reading.measure(work, side),
        "writing": lambda: writing.measure(work),
        "pipeline": lambda: pipeline.measure(_phantom(work, 15000), PACKAGE),
        "service": lambda: service.measure(_phantom(work, 8000), PACKAGE),
        "memory": lambda: memory.measure({side: _phantom(work, side) for side in memory.SIDES_PX}, PACKAGE),
        "registration": lambda: registration.measure(work),
        "limits": lambda: limits.measure(work),
        "growth": lambda: growth.measure(work, small=small),
        "million": lambda: million.measure(work),
    }


def _phantom(work: Path, side: int) -> Path:
    """A phantom H&E slide, made once."""
    path = work / f"phantom-{side}.tiff"
    if not path.exists():
        spec = PhantomSpec(seed=side, width_px=side, height_px=side, mpp=MEMORY_MPP, tissue=TISSUE[side])
        write_phantom(spec, {"he": path}, None, 2)
    return path


if __name__ == "__main__":
    main()
