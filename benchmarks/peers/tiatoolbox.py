"""TIAToolbox's semantic segmentor against `histoserve run`: the nuclei network, one class map."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.peers import networks, slides
from benchmarks.peers.agreement import class_agreement
from benchmarks.peers.environments import python_of
from benchmarks.peers.timing import INSIDE, Run, compared, histoserve, in_turns, run_fresh

MPP, TILE_PX, HALO_PX = 0.5, 512, 48
PAIRS = {"default": ("tiatoolbox", "ours"), "OpenVINO": ("tiatoolbox", "ours_openvino")}
PAIRS |= {"bfloat16": ("tiatoolbox", "ours_bf16")}
COST_TILES = 16


def measure(work: Path, peers: Path, tiles: int, repeats: int) -> dict[str, Any]:
    """Whole processes on a dense slide of `tiles` x `tiles` tiles, and how many pixels of the class maps agree."""
    slide = slides.dense(work, "he", tiles * TILE_PX, MPP)
    script = networks.nuclei_script(work / "nuclei.pt", TILE_PX + 2 * HALO_PX)
    package, out = networks.nuclei_package(work / "models"), work / "out"
    small = slides.dense(work, "he", COST_TILES // 4 * TILE_PX, MPP / 2)
    bf16 = networks.in_bf16(package, small, work / "models", COST_TILES)
    theirs = [python_of(peers, "tiatoolbox"), INSIDE / "run_tiatoolbox.py", slide, script, out / "tiatoolbox"]
    taken = in_turns(
        {
            "tiatoolbox": lambda: run_fresh(out / "tiatoolbox", theirs),
            "ours": _ours(slide, package, out, "auto"),
            "ours_openvino": _ours(slide, package, out, "openvino-cpu"),
            "ours_bf16": _ours(slide, bf16, out, "auto"),
        },
        repeats,
    )
    plan = json.loads((out / "ours-nuclei" / "result.json").read_text())["plan"]
    return {
        "network": "nuclei (U-Net, four levels, 16 to 96 channels)",
        "side_px": tiles * TILE_PX,
        "tiles": {"tiatoolbox": tiles**2, "ours": plan["tiles_done"]},
        "classes_agree": _agreement(out),
        "goal": 2.0,
        "bf16_cost": networks.declared_cost(bf16),
    } | compared(taken, PAIRS)


def _ours(slide: Path, package: Path, out: Path, provider: str) -> Run:
    arguments = histoserve("run", slide, "--package", package, "--out", out / "ours-nuclei", "--provider", provider)
    return lambda: run_fresh(out / "ours-nuclei", [*arguments, "--threads", "2"])


def _agreement(out: Path) -> dict[str, float]:
    """Share of the pixels that we computed in which both name the same class."""
    ours = zarr.open_array(out / "ours-nuclei" / "maps" / "nuclei.ome.zarr" / "0", mode="r")[:]
    group = next((out / "tiatoolbox").glob("*.zarr"))
    theirs = np.asarray(zarr.open_group(group, mode="r")["predictions"]).squeeze()
    height, width = theirs.shape
    return class_agreement(ours.reshape(ours.shape[-2:])[:height, :width], theirs)
