"""benchmarks/REPORT.md from benchmarks/report.json: a section for each part, the goals first.

Parts it knows nothing of are told as they are: figures with their spread as tables, everything else line by line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from benchmarks import limits_table

TITLES = {
    "reading": "Reading a JPEG pyramid",
    "writing": "Writing shards",
    "pipeline": "The stream against the network alone",
    "service": "The service",
    "memory": "Memory against the size of the slide",
    "registration": "Laying one slide on another",
    "limits": "What the machine can do, and what each package makes of it",
    "growth": "Growth, and the planner",
    "million": "A million",
    "peers": "Against the peers",
    "gpu": "On a GPU",
}
"""In the order of the report; parts that are not named come last."""
LEFT_OUT = frozenset({"measured", "machine", "last_job"})
SUMMARY = frozenset({"median", "min", "max"})
EXPONENT = frozenset({"exponent", "low", "high"})
DEEPEST = 6
"""Headings of Markdown."""


@dataclass(frozen=True)
class Goal:
    """What was to be reached, and where in the report it stands."""

    words: str
    path: str
    bound: float
    sense: Literal["at least", "at most"]


GOALS = (
    Goal("Reading, of one core's raw decode", "reading/ratio_to_raw_decode", 0.65, "at least"),
    Goal("Reading, times tiffslide", "reading/ratio_to_tiffslide", 4.0, "at least"),
    Goal("Reading, times openslide", "reading/ratio_to_openslide", 4.0, "at least"),
    Goal("End to end, of the network alone", "pipeline/efficiency", 0.95, "at least"),
    Goal("End to end, of the network alone, {}", "limits/packages/*/stream_over_network", 0.95, "at least"),
    Goal("Service, time on top of the engine's", "service/overhead/overhead", 0.03, "at most"),
    Goal("Memory, largest slide over smallest", "memory/largest_over_smallest", 1.1, "at most"),
    Goal("Time against tissue, exponent", "growth/by_tissue/cpu_exponent", 0.95, "at least"),
    Goal("Time against tissue, exponent", "growth/by_tissue/cpu_exponent", 1.05, "at most"),
    Goal("Memory from 10^8 to 10^10 px, most over least", "growth/by_size/largest_over_smallest_peak", 1.1, "at most"),
    Goal("Planner, worst error of wall seconds", "growth/planner/worst_error/wall_s", 0.2, "at most"),
    Goal("Planner, worst error of processor seconds", "growth/planner/worst_error/cpu_s", 0.2, "at most"),
    Goal("Planner, worst error of memory", "growth/planner/worst_error/memory_bytes", 0.2, "at most"),
    Goal("DeepLIIF, width 64, times as long, {}", "peers/deepliif_full/ratios/*/wall_s", 1.5, "at least"),
    *(
        Goal(f"DeepLIIF, width 64, {what}", f"peers/deepliif_full/ratios/{what}/wall_s", 3.0, "at least")
        for what in ("all outputs, bfloat16", "mask alone, bfloat16")
    ),
    Goal("DeepLIIF, width 64, each further tile, {}", "peers/deepliif_further/ratios/*/wall_s", 1.5, "at least"),
    Goal("DeepLIIF, width 8, times as long, {}", "peers/deepliif_small/ratios/*/wall_s", 1.5, "at least"),
    Goal("DeepLIIF, times its memory, {}", "peers/deepliif_memory/ratios/*/peak_bytes", 5.0, "at least"),
    Goal("TIAToolbox, times as long, {}", "peers/tiatoolbox/ratios/*/wall_s", 2.0, "at least"),
    Goal("WSInfer, times as long, {}", "peers/wsinfer/ratios/*/wall_s", 2.0, "at least"),
)


def write_report(report: dict[str, Any], path: Path) -> None:
    """Render the report to a file."""
    path.write_text(render(report))


def render(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    order = [name for name in TITLES if name in report] + sorted(name for name in report if name not in TITLES)
    lines = [
        "# What was measured",
        "",
        "Rendered from `report.json` by `python -m benchmarks`; docs/benchmarks.md says what each does. Each is",
        "one run, its comparisons taken in turns. Machines and hours differ: quote ratios, and look at the load beside",
        "them.",
        "",
        *_goals(report),
    ]
    for name in order:
        lines += ["", f"## {TITLES.get(name, name)}", "", *_about(report[name]), "", *_part(name, report)]
    return "\n".join(lines).rstrip() + "\n"


def _goals(report: dict[str, Any]) -> list[str]:
    rows = [(goal, name, value) for goal in GOALS for name, value in _found(report, goal.path.split("/"))]
    if not rows:
        return []
    told = ["| goal | wanted | measured | |", "|---|---|---|---|"]
    for goal, name, value in rows:
        measured = figure(value)
        is_met = measured >= goal.bound if goal.sense == "at least" else measured <= goal.bound
        words = f"{goal.sense} {goal.bound:g}"
        told.append(f"| {goal.words.format(name)} | {words} | {_spread(value)} | {'met' if is_met else '**missed**'} |")
    return told


def _found(report: Any, path: list[str], name: str = "") -> Iterator[tuple[str, Any]]:
    """What lies at a path, a `*` in it being every key; nothing where it leads nowhere."""
    if not path:
        yield name, report
    elif isinstance(report, dict) and path[0] == "*":
        for key, inner in report.items():
            yield from _found(inner, path[1:], key)
    elif isinstance(report, dict) and path[0] in report:
        yield from _found(report[path[0]], path[1:], name)


def figure(value: Any) -> float:
    """The one number of a figure: a median, an exponent, or the number itself."""
    if isinstance(value, dict):
        return float(value["exponent"] if "exponent" in value else value["median"])
    return float(value)


def _about(part: dict[str, Any]) -> list[str]:
    machine = part.get("machine", {})
    words = [f"measured {part['measured']}"] if "measured" in part else []
    words += [str(machine[key]) for key in ("processor", "name") if key in machine]
    words += [f"{machine['cores']} cores"] if "cores" in machine else []
    if "load_average" in machine:
        words.append("load " + ", ".join(f"{value:.1f}" for value in machine["load_average"]) + " (1, 5, 15 min)")
    words += [f"{key} {machine[key]}" for key in ("python", "torch", "cuda") if machine.get(key)]
    packages = machine.get("packages", {})
    return ["; ".join([*words, *(f"{name} {version}" for name, version in packages.items())]) + "."]


def _part(name: str, report: dict[str, Any]) -> list[str]:
    special = _renderers().get(name)
    return special(report).splitlines() if special is not None else list(_tell(report[name], 3))


def _renderers() -> dict[str, Callable[[dict[str, Any]], str]]:
    """Parts that have their own way of being told."""
    found = {"limits": limits_table.table}
    if find_spec("benchmarks.peers") is not None:
        from benchmarks.peers.table import table

        found["peers"] = table
    return found


def _tell(part: dict[str, Any], depth: int) -> Iterator[str]:
    """Single values as a list, figures with a spread as a table, what holds more under a heading of its own."""
    rows = {key: value for key, value in part.items() if key not in LEFT_OUT}
    spreads = {key: value for key, value in rows.items() if _is_spread(value)}
    inner = {key: value for key, value in rows.items() if isinstance(value, dict) and key not in spreads}
    tables = {key: value for key, value in rows.items() if _is_table(value)}
    for key, value in rows.items():
        if key not in spreads and key not in inner and key not in tables:
            yield f"* {_words(key)}: {_value(value, key)}"
    if spreads:
        yield from ("", "| | median | least | most | n |", "|---|---|---|---|---|")
        yield from (_row(key, value) for key, value in spreads.items())
    for key, value in inner.items():
        yield from ("", f"{'#' * min(depth, DEEPEST)} {_words(key)}", "")
        yield from _flat(value) if _is_flat(value) else _tell(value, depth + 1)
    for key, value in tables.items():
        yield from ("", f"{'#' * min(depth, DEEPEST)} {_words(key)}", "", *_table(value))


def _is_spread(value: Any) -> bool:
    return isinstance(value, dict) and (value.keys() >= SUMMARY or value.keys() >= EXPONENT)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _is_flat(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(item, int | float) for item in value.values())


def _flat(value: dict[str, Any]) -> Iterator[str]:
    yield from ("| | |", "|---|---|")
    yield from (f"| {_words(key)} | {_value(item, key)} |" for key, item in value.items())


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    yield from (f"| {' | '.join(map(_words, keys))} |", "|" + "---|" * len(keys))
    for row in rows:
        yield f"| {' | '.join(_value(row.get(key, ''), key) for key in keys)} |"


def _row(key: str, value: dict[str, Any]) -> str:
    low, high = (value["low"], value["high"]) if "exponent" in value else (value["min"], value["max"])
    numbers = (_value(number, key) for number in (figure(value), low, high))
    return f"| {_words(key)} | {' | '.join(numbers)} | {value.get('n', '')} |"


def _spread(value: Any) -> str:
    if not isinstance(value, dict):
        return _value(value)
    low, high = (value["low"], value["high"]) if "exponent" in value else (value["min"], value["max"])
    return f"{_value(figure(value))} ({_value(low)} to {_value(high)})"


def _words(key: str) -> str:
    return key.replace("_bytes", "").replace("_", " ") if key.isascii() else key


def _value(value: Any, key: str = "") -> str:
    """A number with three or four digits that count; bytes in MB where the name says that it is bytes."""
    if value is None:
        return "not known"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(_value(item) for item in value) if isinstance(value, list | tuple) else str(value)
    if key.endswith("_bytes"):
        return f"{value / 1e6:.1f} MB"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 100_000 else str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
