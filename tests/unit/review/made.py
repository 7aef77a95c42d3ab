"""A small result in a folder, as a run leaves one, without a run."""

import hashlib
import json
from pathlib import Path
from typing import Any

from workers.outputs.files import folder_sha256
from workers.result import Result

MAP = "maps/heat.ome.zarr"
SHARD = f"{MAP}/0/c/0/0"


def result_fields(**changes: Any) -> dict[str, Any]:
    """A whole `result.json` without files; `changes` take the place of top-level members."""
    fields: dict[str, Any] = {
        "code_version": "0.1.0",
        "slide": {
            "sha256": hashlib.sha256(b"slide").hexdigest(),
            "size_bytes": 5,
            "format": "raster",
            "vendor": "",
            "width_px": 200,
            "height_px": 100,
            "mpp": 0.5,
            "mpp_source": "metadata",
            "mpp_stated": 0.5,
            "objective_power": None,
            "bounds": {"x": 0, "y": 0, "width": 200, "height": 100},
            "has_icc": False,
        },
        "package": {
            "reference": "not-installed@1.0.0",
            "manifest_sha256": "a" * 64,
            "network_sha256": "b" * 64,
            "provider": "onnxruntime-cpu",
        },
        "frame": {"mpp": 0.5, "width_px": 200, "height_px": 100, "level0_per_px": 1.0},
        "plan": {
            "tile_px": 64,
            "halo_px": 8,
            "shard_px": 2048,
            "bands": 1,
            "tiles_planned": 4,
            "tiles_done": 4,
            "tiles_failed": 0,
            "tissue_mm2": 0.005,
        },
        "quality": {"stain": {"stain": "he", "confidence": 0.9}},
        "scores": {"points": {"class": "spot", "count": 3, "place": {"count": 2, "x_px": 10.0}}},
        "seam_scores": {"heat": 1.0},
        "files": [],
        "folders": [],
        "configuration": {
            "slide": "slide.png",
            "package": "not-installed",
            "out": ".",
            "mpp": None,
            "provider": "onnxruntime-cpu",
            "tile_px": None,
            "batch": None,
            "readers": 2,
            "threads": None,
            "overwrite": False,
            "parameters": {"force": False, "detection_threshold": 0.5},
            "regions": None,
            "batch_shape": [1, 80, 80, 3],
        },
        "seconds": {"total": 1.5},
        "resumed": False,
    }
    return fields | changes


def made_result(**changes: Any) -> Result:
    """The result alone."""
    return Result.model_validate(result_fields(**changes))


def write_result(folder: Path, **changes: Any) -> Path:
    """A folder with two files, a map of two, the run's own state, and the `result.json` that names them."""
    contents = {
        "points.csv": b"cell,x_px\n0,1\n",
        "quality/tissue.png": b"a picture",
        f"{MAP}/zarr.json": b"{}",
        SHARD: b"a shard",
        "run/lock": b"",
        "run/identity.json": b"{}",
        "run/bands.jsonl": band_line(b"a shard"),
    }
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    files = [file_part(path, contents[path]) for path in ("points.csv", "quality/tissue.png")]
    folders = [
        {
            "path": MAP,
            "sha256": folder_sha256(folder / MAP),
            "files": 2,
            "size_bytes": 9,
            "media_type": "application/vnd+zarr",
        }
    ]
    write_json(folder, result_fields(**({"files": files, "folders": folders} | changes)))
    return folder


def write_json(folder: Path, fields: dict[str, Any]) -> None:
    """`result.json` of any content."""
    (folder / "result.json").write_text(json.dumps(fields))


def file_part(path: str, data: bytes) -> dict[str, Any]:
    """What a result says of a file."""
    digest = hashlib.sha256(data).hexdigest()
    return {"path": path, "sha256": digest, "size_bytes": len(data), "media_type": "text/csv"}


def band_line(data: bytes) -> bytes:
    """A line of the run's ledger, for the one shard."""
    shard = {"path": SHARD.removeprefix("maps/"), "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    return json.dumps({"index": 0, "tiles": 4, "shards": [shard], "seams": {}}).encode() + b"\n"
