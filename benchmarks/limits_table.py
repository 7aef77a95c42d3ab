"""The part `limits` as Markdown: what the machine can do, what each package makes of it, and where its seconds go."""

from collections.abc import Iterator
from typing import Any

BESIDE = frozenset({"read", "prepare", "wait for reader", "infer", "keep", "wait for keeper", "total"})
"""Stages that run side by side inside of `stream`, and the sum of all."""
SMALL = 0.01
"""Stages with less of the whole are told together."""


def table(report: dict[str, Any]) -> str:
    """Three tables: peaks, packages, stages."""
    part = report["limits"]
    told = [*_peaks(part["peaks_gflops"]), "", *_others(part), "", *_packages(part), "", *_stages(part)]
    return "\n".join(told)


def _peaks(peaks: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    threads = list(peaks)
    yield "GFLOP/s (10^9 operations a second for int8), median and most:"
    yield ""
    yield "| | " + " | ".join(f"{count} thread{'s' * (count != '1')}" for count in threads) + " |"
    yield "|---|" + "---|" * len(threads)
    for name in peaks[threads[0]]:
        cells = (f"{peaks[count][name]['median']:.0f} ({peaks[count][name]['max']:.0f})" for count in threads)
        yield f"| {name} | {' | '.join(cells)} |"


def _others(part: dict[str, Any]) -> Iterator[str]:
    decode, disk = part["decode"]["one_core_mpix_per_s"], part["disk_write_mb_per_s"]
    yield f"* JPEG decode, one core: {decode['median']:.0f} MPix/s ({decode['min']:.0f} to {decode['max']:.0f})"
    yield f"* disk, written and brought to it: {disk['median']:.0f} MB/s ({disk['min']:.0f} to {disk['max']:.0f})"


def _packages(part: dict[str, Any]) -> Iterator[str]:
    yield (
        "| package | GFLOP a tile | TFLOP/mm2 of tissue | network, GFLOP/s | of a product beside it "
        "| stream, of the product | stream / network | whole run, s/mm2 | whole run, GFLOP/s |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, package in part["packages"].items():
        if "left_out" in package:
            yield f"| {name} | {package['left_out']} | | | | | | | |"
            continue
        run = package["whole_run"]
        cells = (
            f"{package['gflop_per_tile']:.1f}",
            f"{run['tflop_per_mm2_of_tissue']:.2f}",
            f"{package['network_gflops']['median']:.0f}",
            _percent(package["network_fraction_of_peak"]),
            _percent(package["stream_fraction_of_peak"]),
            f"{package['stream_over_network']['median']:.2f}",
            f"{run['s_per_mm2']:.2f}",
            f"{run['gflops_of_the_whole']:.0f}",
        )
        yield f"| {name} | {' | '.join(cells)} |"


def _stages(part: dict[str, Any]) -> Iterator[str]:
    yield "Where the seconds of a whole run go:"
    yield ""
    for name, package in part["packages"].items():
        if "left_out" not in package:
            run = package["whole_run"]
            shares = stage_shares(run["stages_s"], run["wall_s"])
            told = ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())
            yield f"* {name}, {run['wall_s']:.1f} s for {run['tissue_mm2']:.2f} mm2: {told}"


def stage_shares(stages_s: dict[str, float], whole_s: float) -> dict[str, float]:
    """Each stage's part of the whole, largest first; those that run beside the network are part of `stream`."""
    shares = {name: seconds / whole_s for name, seconds in stages_s.items() if name not in BESIDE}
    large = {name: share for name, share in shares.items() if share >= SMALL}
    told = dict(sorted(large.items(), key=lambda item: -item[1]))
    return told | {"others": sum(shares.values()) - sum(large.values())}


def _percent(summary: dict[str, float]) -> str:
    return f"{summary['median']:.0%} ({summary['min']:.0%} to {summary['max']:.0%})"
