"""A slide with 1,000,000 nuclei: memory, seconds and sizes of measuring it and of scoring it anew.

The maps are drawn, not computed by a network: what is measured is all that comes after the last tile. Every number is
of a process of its own. Wall seconds drift with the neighbours on a shared machine; processor seconds do not.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawn import Field, class_stamps, draw, mask_stamps
from models.registry import Package, resolve
from workers.engine.analysed import write_analysed
from workers.engine.finish import describe_file, describe_folder, tell_scores
from workers.engine.keep import choose_targets
from workers.engine.score import Scoring, score, tissue_mm2
from workers.geometry import Box, Frame
from workers.plan import Plan, cell_shape, choose_grid, make_plan
from workers.result import BoxPart, FramePart, PackagePart, PlanPart, Result, SlidePart

FIELDS = (Field(400, 250), Field(1000, 1000))
CELLS, IHC = "nuclei", "deepliif-small"
IHC_MEASURE = {"kind": "ihc-cells", "output": "seg", "resolution": "20x", "size_px": 50}
CHANGES = {CELLS: "min_area_um2=30", IHC: "size_px=100"}
RUNNER = """
import json, resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"processor_s": round(used.ru_utime + used.ru_stime, 2), "peak_bytes": used.ru_maxrss * 1024}))
"""
"""A small process starts the work: a child's peak begins with the memory of the process it was forked from."""
GOALS = {"peak_of_the_larger_over_the_smaller": 1.15, "rescore_processor_s": 10.0}


def measure(work: Path, fields: tuple[Field, ...] = FIELDS) -> dict[str, Any]:
    """The figures of both kinds of cells, for each number of nuclei; what is drawn lies below `work` meanwhile."""
    return {"goals": GOALS} | {kind: _measure_kind(work / f"million-{kind}", kind, fields) for kind in (CELLS, IHC)}


def _measure_kind(work: Path, kind: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    shutil.rmtree(work, ignore_errors=True)
    package = _package(work, kind)
    runs = {str(field.nuclei): _measure_field(work / str(field.nuclei), kind, package, field) for field in fields}
    peaks = [run["score"]["peak_bytes"] for run in runs.values()]
    shutil.rmtree(work)
    return {"runs": runs, "peak_of_the_larger_over_the_smaller": max(peaks) / min(peaks)}


def _measure_field(folder: Path, kind: str, package: Path, field: Field) -> dict[str, Any]:
    size = [str(side) for side in (field.columns, field.rows)]
    drawn = _timed([sys.executable, "-m", __name__, "draw", str(folder), str(package), *size])
    scored = _timed([sys.executable, "-m", __name__, "score", str(folder), str(package), *size])
    result = json.loads((folder / "result.json").read_text())
    (scores,) = result["scores"].values()
    found = scores["count"] if "count" in scores else sum(scores["ihc_components"][k] for k in ("counted", "rejected"))
    if found != field.nuclei:
        raise RuntimeError(f"{found} nuclei were found, {field.nuclei} were drawn")
    command = [str(Path(sys.executable).with_name("histoserve")), "rescore", str(folder), "--package", str(package)]
    command += ["--json", "--set", CHANGES[kind]]
    return {
        "found": found,
        "map_bytes": sum(part["size_bytes"] for part in result["folders"]),
        "draw": drawn,
        "score": scored,
        "file_bytes": {part["path"]: part["size_bytes"] for part in result["files"]},
        "rescore_scores": _timed(command),
        "rescore_with_files": _timed([*command, "--out", str(folder / "again")]),
    }


def _timed(command: list[str]) -> dict[str, float]:
    """Wall and processor seconds, the start of the process included, and peak resident bytes."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", RUNNER, *command], stdout=subprocess.PIPE, text=True, check=True)
    figures = {"wall_s": round(time.perf_counter() - start, 2), **json.loads(done.stdout)}
    sys.stderr.write(f"{' '.join(command[1:])}: {figures}\n")
    return figures


def _package(work: Path, kind: str) -> Path:
    """The folder of a package; of the virtual one, with a measure of cells on its mask alone: no marker is drawn."""
    found = resolve(kind)
    if kind != IHC:
        return found.folder
    folder = Path(shutil.copytree(found.folder, work / "package" / kind / found.manifest.version))
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | {"measures": [IHC_MEASURE]}))
    return folder


def _plan(package: Package, field: Field) -> Plan:
    """All of the field is tissue."""
    (width, height), mpp = field.size_px, package.manifest.grid.mpp
    frame = Frame(mpp=mpp, width_px=width, height_px=height, level0_mpp=mpp, bounds=Box(0, 0, width, height))
    grid = choose_grid(package.manifest.grid, package.manifest.outputs)
    return make_plan(frame, grid, np.ones(cell_shape(frame, grid), bool))


def draw_field(folder: Path, package: Package, field: Field) -> None:
    """Draw the map that the package measures."""
    plan, (measure,) = _plan(package, field), package.manifest.measures
    target = next(t for t in choose_targets(package.manifest, plan.frame, plan.grid) if t.spec.name == measure.output)
    stamps = class_stamps() if target.spec.kind == "classes" else mask_stamps()
    draw(folder / "maps", target.spec, plan.frame, field, stamps)


def score_field(folder: Path, package: Package, field: Field) -> None:
    """Measure the map as the finish of a run does, and write the result."""
    plan, maps, (measure,) = _plan(package, field), folder / "maps", package.manifest.measures
    targets = [t for t in choose_targets(package.manifest, plan.frame, plan.grid) if t.spec.name == measure.output]
    scored = score(package.manifest, Scoring(targets, maps, folder, plan))
    paths = [write_analysed(folder, plan), *(path for item in scored for path in item.files)]
    result = _result(package, plan).model_copy(
        update={
            "scores": tell_scores(scored, plan),
            "files": tuple(describe_file(folder, path) for path in paths),
            "folders": tuple(describe_folder(folder, maps / target.spec.folder_name) for target in targets),
        }
    )
    (folder / "result.json").write_text(result.model_dump_json(indent=2))


def _result(package: Package, plan: Plan) -> Result:
    """A result without findings: no slide was read, no network was run."""
    frame, manifest = plan.frame, package.manifest
    network = manifest.file("network")
    return Result(
        code_version="0",
        slide=SlidePart(
            sha256="0" * 64,
            size_bytes=0,
            format="drawn",
            vendor="",
            width_px=frame.width_px,
            height_px=frame.height_px,
            mpp=frame.level0_mpp,
            mpp_source="override",
            mpp_stated=None,
            objective_power=None,
            bounds=BoxPart(x=0, y=0, width=frame.width_px, height=frame.height_px),
            has_icc=False,
        ),
        package=PackagePart(
            reference=manifest.reference,
            manifest_sha256=package.manifest_sha256,
            network_sha256=network.sha256 if network else "",
            provider="none",
        ),
        frame=FramePart(mpp=frame.mpp, width_px=frame.width_px, height_px=frame.height_px, level0_per_px=frame.scale),
        plan=PlanPart(
            tile_px=plan.grid.tile_px,
            halo_px=plan.grid.halo_px,
            shard_px=plan.grid.shard_px,
            bands=len(plan.bands),
            tiles_planned=0,
            tiles_done=0,
            tiles_failed=0,
            tissue_mm2=tissue_mm2(plan),
        ),
        quality={},
        scores={},
        seam_scores={},
        files=(),
        folders=(),
        configuration={},
        seconds={},
        resumed=False,
    )


if __name__ == "__main__":
    what, where, package_folder, columns, rows = sys.argv[1:]
    {"draw": draw_field, "score": score_field}[what](
        Path(where), resolve(package_folder), Field(int(columns), int(rows))
    )
