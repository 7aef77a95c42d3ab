"""Cells and points as Parquet and CSV, written as a stream, row group by row group.

The Parquet file is a GeoParquet 1.1 file as well: `outline` holds polygons (or points) as WKB in level-0 px. What
places it on the slide is in the file's metadata under `histoserve`.
"""

import csv
import io
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workers.measures.cells import Cell
from workers.measures.points import Point
from workers.outputs.files import replace_whole
from workers.outputs.labels import Labels
from workers.outputs.place import Place

Findings = Sequence[Cell] | Sequence[Point]
Write = Callable[[Findings], None]

SCHEMA = pa.schema(
    [
        pa.field("cell", pa.int64(), nullable=False),
        pa.field("x_px", pa.float64(), nullable=False),
        pa.field("y_px", pa.float64(), nullable=False),
        pa.field("x_um", pa.float64(), nullable=False),
        pa.field("y_um", pa.float64(), nullable=False),
        pa.field("area_um2", pa.float64()),
        pa.field("class", pa.dictionary(pa.int16(), pa.string()), nullable=False),
        pa.field("probability", pa.float32()),
        pa.field("outline", pa.binary(), nullable=False),
    ]
)
CSV_COLUMNS = tuple(name for name in SCHEMA.names if name != "outline")
WKB_POINT, WKB_POLYGON = 1, 3
HEADER_SIZE = struct.calcsize("<BIII")
"""Of a polygon of one ring, before its corners."""


@contextmanager
def parquet_writer(path: Path, place: Place, labels: Labels) -> Iterator[Write]:
    """A function that appends a row group of findings; the file appears when the block ends well."""
    schema = SCHEMA.with_metadata({"histoserve": json.dumps(place.metadata()), "geo": json.dumps(geo_metadata())})
    with replace_whole(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(findings: Findings) -> None:
            if findings:
                writer.write_table(pa.table(_columns(findings, place, labels), schema=schema))

        yield write


@contextmanager
def csv_writer(path: Path, place: Place, labels: Labels) -> Iterator[Write]:
    """A function that appends rows of findings, without outlines; the file appears when the block ends well."""
    with replace_whole(path) as file:
        file.write((",".join(CSV_COLUMNS) + "\n").encode())

        def write(findings: Findings) -> None:
            columns = _columns(findings, place, labels)
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                zip(*(_as_text(columns[name]) for name in CSV_COLUMNS), strict=True)
            )
            file.write(text.getvalue().encode())

        yield write


def _columns(findings: Findings, place: Place, labels: Labels) -> dict[str, Any]:
    xs, ys = np.array([f.x for f in findings]), np.array([f.y for f in findings])
    return {
        "cell": [f.index for f in findings],
        "x_px": xs * place.scale,
        "y_px": ys * place.scale,
        "x_um": xs * place.mpp,
        "y_um": ys * place.mpp,
        "area_um2": [f.area_um2 if isinstance(f, Cell) else None for f in findings],
        "class": [labels.of(f.vote if isinstance(f, Cell) else None).name for f in findings],
        "probability": [f.probability for f in findings],
        "outline": [_well_known_binary(f, place) for f in findings],
    }


def _well_known_binary(finding: Cell | Point, place: Place) -> bytes:
    if isinstance(finding, Point):
        return struct.pack("<BIdd", 1, WKB_POINT, finding.x * place.scale, finding.y * place.scale)
    ring = finding.outline * place.scale
    head = struct.pack("<BIII", 1, WKB_POLYGON, 1, len(ring) + 1)
    return b"".join((head, ring.tobytes(), ring[0].tobytes()))


def geo_metadata() -> dict[str, Any]:
    """What makes a Parquet file with outlines a GeoParquet one."""
    column = {"encoding": "WKB", "geometry_types": ["Polygon", "Point"], "crs": None, "edges": "planar"}
    return {"version": "1.1.0", "primary_column": "outline", "columns": {"outline": column}}


def _as_text(values: Sequence[Any]) -> list[str]:
    return ["" if v is None else f"{v:.4f}".rstrip("0").rstrip(".") if isinstance(v, float) else str(v) for v in values]
