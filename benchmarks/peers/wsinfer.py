"""WSInfer's `run` against `histoserve run`: a ResNet-34 on patches of 350 px, as its breast tumour model."""

import csv
import json
from pathlib import Path
from typing import Any

import zarr

from benchmarks.peers import networks, slides
from benchmarks.peers.agreement import Patches, on_grid, patches_apart
from benchmarks.peers.environments import python_of
from benchmarks.peers.timing import INSIDE, Run, compared, histoserve, in_turns, run_fresh

BATCH, WORKERS = 32, 2
PAIRS = {"TorchScript": ("wsinfer", "ours_torchscript"), "ONNX": ("wsinfer", "ours_onnx")}
PAIRS |= {"ONNX, OpenVINO": ("wsinfer", "ours_openvino"), "ONNX, bfloat16": ("wsinfer", "ours_bf16")}
COST_PX, COST_TILES = 1400, 16


def measure(work: Path, peers: Path, side_px: int, repeats: int) -> dict[str, Any]:
    """Whole processes on a dense slide, and how far probabilities of the same patches are apart."""
    slide, zoo = slides.dense(work, "he", side_px, networks.PATCH_MPP), networks.zoo_folder(work / "zoo")
    packages, out = networks.zoo_packages(zoo, work / "models"), work / "out"
    small = slides.dense(work, "he", COST_PX, networks.PATCH_MPP)
    bf16 = networks.in_bf16(packages["onnx"], small, work / "models", COST_TILES)
    taken = in_turns(
        {
            "wsinfer": _theirs(python_of(peers, "wsinfer"), slide, zoo, out / "wsinfer"),
            "ours_torchscript": _ours(slide, packages["torchscript"], out / "ours-script"),
            "ours_onnx": _ours(slide, packages["onnx"], out / "ours-onnx"),
            "ours_openvino": _ours(slide, packages["onnx"], out / "ours-openvino", "openvino-cpu"),
            "ours_bf16": _ours(slide, bf16, out / "ours-bf16"),
        },
        repeats,
    )
    rows = read_patches(next((out / "wsinfer" / "model-outputs-csv").glob("*.csv")))
    plan = json.loads((out / "ours-script" / "result.json").read_text())["plan"]
    folders = {"ours_torchscript": "ours-script", "ours_onnx": "ours-onnx", "ours_openvino": "ours-openvino"}
    folders |= {"ours_bf16": "ours-bf16"}
    return {
        "network": "ResNet-34, patches of 350 px at 0.25 um/px, resized to 224",
        "side_px": side_px,
        "patches": {"wsinfer": len(rows), "ours": plan["tiles_done"]},
        "probabilities": {name: _apart(rows, out / folder) for name, folder in folders.items()},
        "goal": 2.0,
        "bf16_cost": networks.declared_cost(bf16),
    } | compared(taken, PAIRS)


def read_patches(path: Path) -> Patches:
    """Probability of the second class by (column, row) of patches on the grid that begins in the slide's corner."""
    with path.open(newline="") as file:
        rows = [(int(row["minx"]), int(row["miny"]), float(row["prob_Tumor"])) for row in csv.DictReader(file)]
    return on_grid(rows, networks.PATCH_PX)


def _apart(rows: Patches, out: Path) -> dict[str, float]:
    """The largest difference of the second class's probability, over patches that both have."""
    stored = zarr.open_array(out / "maps" / "tiles-probabilities.ome.zarr" / "0", mode="r")[:]
    classes = zarr.open_array(out / "maps" / "tiles.ome.zarr" / "0", mode="r")[:].reshape(stored.shape[-2:])
    return patches_apart(rows, stored, classes)


def _theirs(python: Path, slide: Path, zoo: Path, out: Path) -> Run:
    folder = slide.with_suffix("") / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / slide.name).exists():
        (folder / slide.name).hardlink_to(slide)
    arguments = [python, INSIDE / "run_wsinfer.py", "--backend", "tiffslide", "run", "--wsi-dir", folder]
    arguments += ["--results-dir", out, "--config", zoo / "config.json"]
    arguments += ["--model-path", zoo / "torchscript_model.pt", "--batch-size", BATCH, "--num-workers", WORKERS]
    return lambda: run_fresh(out, arguments)


def _ours(slide: Path, package: Path, out: Path, provider: str = "auto") -> Run:
    arguments = histoserve("run", slide, "--package", package, "--out", out, "--provider", provider, "--threads", "2")
    return lambda: run_fresh(out, arguments)
