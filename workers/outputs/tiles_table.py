"""The tiles of a tile classifier as GeoJSON for QuPath, Parquet and CSV, written as a stream in one pass.

A tile is a square of the slide with a class, and the probability of each class. In the tables `x_px`, `y_px` is its
middle, `left_px`, `top_px` its upper left corner, all in level-0 px; the Parquet file is a GeoParquet 1.1 file as well.
In GeoJSON tiles are QuPath's tile objects, so that measurement maps can colour them by any class.
"""

import csv
import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.manifest import ClassSpec
from workers.outputs.files import replace_whole
from workers.outputs.geojson import DECIMALS
from workers.outputs.place import Place
from workers.outputs.tables import WKB_POLYGON

Write = Callable[["TileBatch"], None]
Floats = NDArray[np.float64]

PLACES = ("x_px", "y_px", "x_um", "y_um", "left_px", "top_px", "width_px", "height_px")
PROBABILITY = "prob_"
"""Before the name of a class: the column of its probability."""


@dataclass(frozen=True)
class TileLabels:
    """What the numbers of tiles mean."""

    classes: Sequence[ClassSpec]
    """By the values of `TileBatch.classes`."""
    probable: Sequence[str]
    """The classes whose probability is known, in the order of `TileBatch.probabilities`."""


@dataclass(frozen=True, eq=False)
class TileBatch:
    """Some tiles, in the order of the table."""

    first: int
    """Number of the first one."""
    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    """(n,): places on the map, of which each pixel is a tile."""
    classes: NDArray[np.int64]
    """(n,)"""
    probabilities: Floats
    """(n, number of probable classes), 0 to 1."""

    def middles(self, place: Place) -> tuple[Floats, Floats]:
        """(xs, ys) of the middles, level-0 px."""
        return np.asarray((self.columns + 0.5) * place.scale), np.asarray((self.rows + 0.5) * place.scale)


def write_tiles(
    folder: Path, stem: str, batches: Iterable[TileBatch], place: Place, labels: TileLabels
) -> tuple[Path, ...]:
    """The paths of `stem`.geojson, .parquet and .csv; they appear once the last tile is written.

    Memory is one batch.

    Parameters
    ----------
    place
        Of the map, of which each pixel is a tile.
    """
    writers = {".geojson": _geojson_writer, ".parquet": _parquet_writer, ".csv": _csv_writer}
    paths = tuple(folder / f"{stem}{suffix}" for suffix in writers)
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(writer(path, place, labels))
            for path, writer in zip(paths, writers.values(), strict=True)
        ]
        for batch in batches:
            for write in sinks:
                write(batch)
    return paths


@contextmanager
def _geojson_writer(path: Path, place: Place, labels: TileLabels) -> Iterator[Write]:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    names = [encode({"name": item.name, "color": list(item.colour)}) for item in labels.classes]
    with replace_whole(path) as file:
        head = json.dumps(place.metadata(), ensure_ascii=False)
        file.write(f'{{"type":"FeatureCollection","histoserve":{head},"features":['.encode())
        separator = "\n"

        def write(batch: TileBatch) -> None:
            nonlocal separator
            for index, ring in enumerate(np.round(_rings(batch, place), DECIMALS).tolist()):
                known = zip(labels.probable, batch.probabilities[index].tolist(), strict=True)
                measured = {f"Probability {name}": round(value, 4) for name, value in known}
                file.write(
                    f'{separator}{{"type":"Feature","geometry":{{"type":"Polygon","coordinates":[{encode(ring)}]}},'
                    f'"properties":{{"objectType":"tile","tile":{batch.first + index},'
                    f'"classification":{names[int(batch.classes[index])]},"measurements":{encode(measured)}}}}}'.encode()
                )
                separator = ",\n"

        yield write
        file.write(b"\n]}\n")


@contextmanager
def _parquet_writer(path: Path, place: Place, labels: TileLabels) -> Iterator[Write]:
    schema = _schema(labels).with_metadata(
        {"histoserve": json.dumps(place.metadata()), "geo": json.dumps(_geo_metadata())}
    )
    with replace_whole(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(batch: TileBatch) -> None:
            outlines = [_well_known_binary(ring) for ring in _rings(batch, place)]
            writer.write_table(pa.table(_columns(batch, place, labels) | {"outline": outlines}, schema=schema))

        yield write


@contextmanager
def _csv_writer(path: Path, place: Place, labels: TileLabels) -> Iterator[Write]:
    with replace_whole(path) as file:
        file.write(_csv_lines([[name for name in _schema(labels).names if name != "outline"]]))

        def write(batch: TileBatch) -> None:
            columns = _columns(batch, place, labels).values()
            file.write(_csv_lines(zip(*(_texts(column) for column in columns), strict=True)))

        yield write


def _schema(labels: TileLabels) -> pa.Schema:
    return pa.schema(
        [
            pa.field("tile", pa.int64(), nullable=False),
            *(pa.field(name, pa.float64(), nullable=False) for name in PLACES),
            pa.field("class", pa.dictionary(pa.int16(), pa.string()), nullable=False),
            *(pa.field(PROBABILITY + name, pa.float32(), nullable=False) for name in labels.probable),
            pa.field("outline", pa.binary(), nullable=False),
        ]
    )


def _columns(batch: TileBatch, place: Place, labels: TileLabels) -> dict[str, Any]:
    xs, ys = batch.middles(place)
    side = np.full(len(xs), place.scale)
    places = (xs, ys, xs * place.level0_mpp, ys * place.level0_mpp, xs - side / 2, ys - side / 2, side, side)
    return {
        "tile": batch.first + np.arange(len(xs)),
        **dict(zip(PLACES, places, strict=True)),
        "class": [labels.classes[value].name for value in batch.classes.tolist()],
        **{PROBABILITY + name: batch.probabilities[:, index] for index, name in enumerate(labels.probable)},
    }


def _rings(batch: TileBatch, place: Place) -> Floats:
    """(n, 5, 2): the closed outlines, level-0 px."""
    corners = np.stack((batch.columns, batch.rows), axis=1)[:, None, :] + [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    return np.asarray(corners * place.scale)


def _well_known_binary(ring: Floats) -> bytes:
    return struct.pack("<BIII", 1, WKB_POLYGON, 1, len(ring)) + ring.astype("<f8").tobytes()


def _geo_metadata() -> dict[str, Any]:
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None, "edges": "planar"}
    return {"version": "1.1.0", "primary_column": "outline", "columns": {"outline": column}}


def _csv_lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _texts(values: Sequence[Any] | NDArray[Any]) -> list[str]:
    items = values.tolist() if isinstance(values, np.ndarray) else values
    return [f"{v:.4f}".rstrip("0").rstrip(".") if isinstance(v, float) else str(v) for v in items]
