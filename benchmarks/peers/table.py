"""The part `peers` of the report as Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

TITLES = {
    "deepliif_small": "DeepLIIF, networks of width 8",
    "deepliif_full": "DeepLIIF, networks of the published width, 64",
    "deepliif_one": "DeepLIIF, width 64, one tile: what starting takes, and our golden tile",
    "deepliif_test": "DeepLIIF's whole command `test`, with cells and scores, which we do not make here",
    "deepliif_memory": "DeepLIIF, memory on a large slide with little tissue",
    "tiatoolbox": "TIAToolbox's semantic segmentor",
    "wsinfer": "WSInfer",
}
HEAD = "| compared | theirs: wall s, CPU s, GB | ours: wall s, CPU s, GB | wall ratio | CPU ratio | memory ratio |"
NOTE = (
    "Whole processes from start to end on the same pixels, two threads each, in turns. Ratios are theirs over ours, "
    "the median over the turns (lowest to highest). Memory is the largest process's. On a machine with other work wall "
    "seconds say little: the load average stands beside them, and CPU seconds are steadier."
)
Json = Mapping[str, Any]


def table(report: Json) -> str:
    """Markdown: what was installed, what was compared, and how many times more each peer takes than we do."""
    peers = report.get("peers", {})
    if not peers:
        return "Peers were not measured: `make bench-peers`.\n"
    lines = [NOTE, "", *_installed(peers.get("install", {}), peers.get("readers", {}))]
    for name, title in TITLES.items():
        if name in peers:
            lines += ["", f"### {title}", "", *_part(peers[name])]
    if "deepliif_further" in peers:
        lines += ["", "### DeepLIIF, width 64, each further tile", "", *_further(peers["deepliif_further"])]
    if "reading" in report:
        lines += ["", "### Reading", "", *_reading(report["reading"])]
    if "deepliif_pixels" in peers:
        lines += ["", "### The same pixels", "", *_pixels(peers["deepliif_pixels"])]
    return "\n".join(lines) + "\n"


def _installed(install: Json, readers: Json) -> Iterator[str]:
    yield "| peer | installed | torch | notes |"
    yield "|---|---|---|---|"
    for name, told in sorted(install.items()):
        versions = told.get("versions", {})
        state = versions.get(name, "yes") if told["installed"] else f"no: {_one_line(told['how_far'])}"
        yield f"| {name} | {state} | {versions.get('torch', '')} | {told['notes']} |"
    for name, version in readers.items():
        yield f"| {name} | {version} | | beside us |"


def _part(part: Json) -> Iterator[str]:
    if "failed" in part:
        yield f"It did not run: {_one_line(part['failed'])}"
        return
    yield f"{_about(part)}."
    yield from ("", HEAD, "|---|---|---|---|---|---|")
    runs = part["runs"]
    for name, ratio in part["ratios"].items():
        cells = [_usage(runs[ratio["theirs"]]), _usage(runs[ratio["ours"]])]
        cells += [_spread(ratio[figure]) for figure in ("wall_s", "cpu_s", "peak_bytes")]
        yield f"| {name} | {' | '.join(cells)} |"
    for key in ("classes_agree", "probabilities"):
        if key in part:
            yield from ("", f"{key.replace('_', ' ').capitalize()}: {_plain(part[key])}.")
    if "bf16_cost" in part:
        yield from ("", *_costs(part["bf16_cost"]))


def _further(part: Json) -> Iterator[str]:
    """From one tile to many: what is left of a comparison when starting weighs nothing."""
    yield "| compared | wall ratio | CPU ratio |"
    yield "|---|---|---|"
    for name, ratio in part["ratios"].items():
        yield f"| {name} | {ratio['wall_s']:.2f} | {ratio['cpu_s']:.2f} |"


def _costs(told: Any) -> Iterator[str]:
    """What bfloat16 costs, as the packages declare it: of one package, or of several by name."""
    if isinstance(told, Mapping):
        for name, metrics in told.items():
            yield from (f"bfloat16, {name}:", *_costs(metrics))
        return
    for metric in told:
        value, low, high = (f"{metric[key]:.4g}" for key in ("value", "low", "high"))
        yield f"* {metric['name']}: {value} ({low} to {high}), {metric['data']}"


def _about(part: Json) -> str:
    """Side, tiles of each, repeats, load and goal in one sentence."""
    run = next(iter(part["runs"].values()))
    told = [part["network"]] if "network" in part else []
    told.append(f"{part['side_px']} px square")
    told += [f"{key} {_plain(part[key])}" for key in ("tiles", "patches") if key in part]
    load = max(run["load_average"]["max"] for run in part["runs"].values())
    told += [f"{run['wall_s']['n']} turns", f"load average up to {load:.1f} on {part['machine']['cores']} cores"]
    told += [f"goal {part['goal']:g}"] if "goal" in part else []
    told += [f"at a declared cost {part['goal_with_declared_cost']:g}"] if "goal_with_declared_cost" in part else []
    return "; ".join(told)


def _usage(run: Json) -> str:
    return f"{run['wall_s']['median']:.1f}, {run['cpu_s']['median']:.1f}, {run['peak_bytes']['median'] / 1e9:.2f}"


def _spread(ratio: Json) -> str:
    if ratio["n"] == 1:
        return f"{ratio['median']:.2f}"
    return f"**{ratio['median']:.2f}** ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _reading(part: Json) -> Iterator[str]:
    """Of `make bench`: every reader on the same rows of one slide, in turns."""
    yield "| reader | MPix/s, one thread | ours over it | goal |"
    yield "|---|---|---|---|"
    for name in ("tiffslide", "openslide"):
        ratio, goal = part[f"ratio_to_{name}"], part["goals"][f"ratio_to_{name}"]
        yield f"| {name} | {part['mpix_per_s'][name]['median']:.0f} | {_spread(ratio)} | {goal:g} |"


def _pixels(part: Json) -> Iterator[str]:
    if "failed" in part:
        yield f"It did not run: {_one_line(part['failed'])}"
        return
    yield "| output | compared | largest difference | off by one | off by more |"
    yield "|---|---|---|---|---|"
    for output, told in part["outputs"].items():
        shares = " | ".join(f"{told[key]:.3%}" for key in ("off_by_one", "off_by_more"))
        yield f"| {output} | {told['compared']:.1%} | {told['largest']} | {shares} |"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _one_line(text: str) -> str:
    """The end of what a program said, fit for a table's cell."""
    return " ".join(text.split())[-300:].replace("|", "/")
