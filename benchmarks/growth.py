"""How runs grow: with the tissue at one size of the slide, with the size at one tissue, and as the planner foretold.

Whole `histoserve run` processes. The tissue is one piece, laid out several times on white glass: two slides differ in
nothing but how much there is. Processor seconds stand beside those of the wall: on a machine with other work they say
more. Runs of a series go up and down in turns.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.child import Done, ask
from benchmarks.exponent import fit_power, fit_power_above
from benchmarks.machine import summary
from benchmarks.service import two_workers
from benchmarks.slides import PIECE_PX, laid_out, phantom_for, piece, spread
from models.registry import list_packages

PACKAGE, MPP = "nuclei", 0.5
TOLERANCE = 0.2
PLANNER_TURNS = 1
"""Of each package: eight packages say more than one of them many times."""


@dataclass(frozen=True)
class Series:
    """What is varied."""

    copies: tuple[int, ...]
    """Of the piece of tissue, on a slide `side_px` wide."""
    side_px: int
    sides_px: tuple[int, ...]
    """Widths of slides with `same` copies."""
    same: int
    repeats: int


FULL = Series((2, 4, 8, 16, 24), 32768, (12288, 32768, 102400), 4, 2)
"""From 1.5 x 10^8 to 10^10 px."""
SMALL = Series((1, 2, 4), 16384, (8192, 32768, 102400), 1, 1)


def measure(folder: Path, *, small: bool = False) -> dict[str, Any]:
    """Seconds, peaks, their exponents, one worker against two, and the planner's errors."""
    series, source = SMALL if small else FULL, piece(folder, MPP)

    def slide(side_px: int, copies: int) -> Path:
        path = folder / f"laid-{side_px}-{copies}.tiff"
        return path if path.exists() else laid_out(source, path, side_px, spread(copies, side_px // PIECE_PX), MPP)

    tissue = _runs({str(n): slide(series.side_px, n) for n in series.copies}, series.repeats)
    size = _runs({str(side): slide(side, series.same) for side in series.sides_px}, series.repeats)
    told = {
        "package": PACKAGE,
        "by_tissue": {"side_px": series.side_px, "runs": _told(tissue)} | _by_tissue(tissue),
        "by_size": {"copies": series.same, "runs": _told(size)} | _by_size(size),
        "planner": _planner(folder, [slide(series.side_px, series.copies[-1])], PLANNER_TURNS),
    }
    if not small:
        told["workers"] = _workers(slide(series.side_px, series.copies[2]))
    return told


def _workers(slide: Path) -> dict[str, Any]:
    """One worker against two in the service, one thread each, and what the planner said of the two."""
    forecast = _forecast(slide, PACKAGE, "--threads", "1", "--readers", "1", "--workers", "2").answer
    told = two_workers(slide, PACKAGE)
    foretold_s = forecast["workers"]["bands_s"]
    return told | {"two_bands_foretold_s": foretold_s, "error": foretold_s / told["two_bands_s"]["median"] - 1}


def _runs(slides: dict[str, Path], repeats: int) -> dict[str, list[Done]]:
    taken: dict[str, list[Done]] = {name: [] for name in slides}
    for turn in range(repeats):
        for name in slides if turn % 2 == 0 else reversed(slides):
            taken[name].append(_run(slides[name], PACKAGE))
    return taken


def _run(slide: Path, package: str) -> Done:
    with tempfile.TemporaryDirectory() as folder:
        return ask(Path(folder), "run", str(slide), "--package", package, "--out", f"{folder}/out", "--force")


def _told(runs: dict[str, list[Done]]) -> dict[str, Any]:
    return {
        name: {
            "tissue_mm2": done[0].answer["plan"]["tissue_mm2"],
            "tiles": done[0].answer["plan"]["tiles_done"],
            "wall_s": summary([d.wall_s for d in done]),
            "cpu_s": summary([d.cpu_s for d in done]),
            "peak_bytes": summary([d.peak_bytes for d in done]),
            "stages_s_of_the_last": done[-1].answer["seconds"],
        }
        for name, done in runs.items()
    }


def _columns(runs: dict[str, list[Done]], x: Callable[[Done], float]) -> dict[str, list[float]]:
    every = [done for several in runs.values() for done in several]
    return {
        "x": [x(d) for d in every],
        "wall_s": [d.wall_s for d in every],
        "cpu_s": [d.cpu_s for d in every],
        "peak_bytes": [float(d.peak_bytes) for d in every],
    }


def _by_tissue(runs: dict[str, list[Done]]) -> dict[str, Any]:
    told = _columns(runs, lambda done: float(done.answer["plan"]["tissue_mm2"]))
    return {
        "cpu_exponent": fit_power_above(told["x"], told["cpu_s"]),
        "wall_exponent": fit_power_above(told["x"], told["wall_s"]),
        "cpu_exponent_start_included": fit_power(told["x"], told["cpu_s"]),
        "memory_exponent": fit_power(told["x"], told["peak_bytes"]),
        "largest_over_smallest_peak": max(told["peak_bytes"]) / min(told["peak_bytes"]),
        "goals": {"cpu_exponent": [0.95, 1.05], "largest_over_smallest_peak": 1.1},
    }


def _by_size(runs: dict[str, list[Done]]) -> dict[str, Any]:
    told = _columns(runs, lambda done: float(done.answer["slide"]["width_px"] * done.answer["slide"]["height_px"]))
    return {
        "px": sorted(set(told["x"])),
        "memory_exponent": fit_power(told["x"], told["peak_bytes"]),
        "cpu_exponent": fit_power(told["x"], told["cpu_s"]),
        "largest_over_smallest_peak": max(told["peak_bytes"]) / min(told["peak_bytes"]),
        "goals": {"largest_over_smallest_peak": 1.1},
    }


def _planner(folder: Path, slides: list[Path], repeats: int) -> dict[str, Any]:
    """Forecast and run in turns, for every package on a slide of its stain, and for one on larger slides."""
    cases = [
        (p.manifest.reference, phantom_for(folder, p.manifest.stain, p.manifest.grid.mpp)) for p in list_packages()
    ]
    cases += [(PACKAGE, slide) for slide in slides]
    told = {f"{package} on {slide.stem}": check_plan(slide, package, repeats) for package, slide in cases}
    within = [case["errors"] for case in told.values()]
    return {
        "cases": told,
        "worst_error": {name: max(abs(errors[name]["median"]) for errors in within) for name in within[0]},
        "goal": TOLERANCE,
    }


def check_plan(slide: Path, package: str, repeats: int) -> dict[str, Any]:
    """The forecast's relative errors, (forecast - run) / run."""
    pairs = []
    for turn in range(repeats):
        first = turn % 2 == 0
        plan = _forecast(slide, package) if first else None
        run = _run(slide, package)
        pairs.append((plan or _forecast(slide, package), run))
    errors = [_errors(plan.answer, run) for plan, run in pairs]
    plan, run = pairs[-1]
    return {
        "errors": {name: summary([error[name] for error in errors]) for name in errors[0]},
        "last": {
            "forecast": {name: plan.answer[name] for name in ("total_s", "cpu_s", "memory_bytes", "result_bytes")},
            "run": {"wall_s": run.wall_s, "cpu_s": run.cpu_s, "peak_bytes": run.peak_bytes},
            "sampled_tiles": plan.answer["basis"]["sampled_tiles"],
            "tiles": plan.answer["work"]["tiles"],
            "seconds_to_plan": plan.wall_s,
            "stages_s": {"forecast": plan.answer["stages_s"], "run": run.answer["seconds"]},
        },
    }


def _forecast(slide: Path, package: str, *more: str) -> Done:
    with tempfile.TemporaryDirectory() as folder:
        profile = f"{folder}/none.json"
        return ask(Path(folder), "plan", str(slide), "--package", package, "--force", "--profile", profile, *more)


def _errors(plan: dict[str, Any], run: Done) -> dict[str, float]:
    size = sum(part["size_bytes"] for part in (*run.answer["files"], *run.answer["folders"]))
    pairs = {
        "wall_s": (plan["total_s"], run.wall_s),
        "cpu_s": (plan["cpu_s"], run.cpu_s),
        "memory_bytes": (plan["memory_bytes"], run.peak_bytes),
        "result_bytes": (plan["result_bytes"], size),
    }
    return {name: forecast / there - 1 for name, (forecast, there) in pairs.items()}
