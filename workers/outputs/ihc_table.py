"""Cells of an IHC mask as Parquet, CSV and GeoJSON, in two passes: what is measured, and then what counts.

How large a cell must be to count is known only when all were seen. So the components are first written as they were
measured, and read again row group by row group to be judged. The Parquet file keeps every component above noise, with
what it takes to judge it anew; the GeoJSON file shows the cells that count.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workers.measures.ihc_cells import FoundCells
from workers.outputs.files import replace_whole
from workers.outputs.geojson import DECIMALS
from workers.outputs.place import Place
from workers.outputs.tables import HEADER_SIZE, WKB_POLYGON, geo_metadata

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Write = Callable[[pa.Table], None]

BATCH = 8192
"""Rows of a row group, and at most this much more than a block's."""
KIND = "ihc-cells"
BANDS = ("0", "1+", "2+", "3+")
"""Of a negative cell, and of positive ones by their density of DAB."""
COLOURS = {"0": (60, 90, 220), "1+": (245, 200, 40), "2+": (240, 130, 30), "3+": (200, 30, 30)}
CLASSES = ("negative", "positive")

MEASURED = pa.schema(
    [
        pa.field("cell", pa.int64(), nullable=False),
        pa.field("x_px", pa.float64(), nullable=False),
        pa.field("y_px", pa.float64(), nullable=False),
        pa.field("x_um", pa.float64(), nullable=False),
        pa.field("y_um", pa.float64(), nullable=False),
        pa.field("area_um2", pa.float64(), nullable=False),
        pa.field("size_px", pa.int32(), nullable=False),
        pa.field("positive_px", pa.int32(), nullable=False),
        pa.field("negative_px", pa.int32(), nullable=False),
        pa.field("marker", pa.uint8()),
        pa.field("marker_mean", pa.float32()),
        pa.field("od", pa.int32()),
        pa.field("dab_od", pa.float32()),
        pa.field("outline", pa.binary(), nullable=False),
    ]
)
JUDGED = (
    pa.field("class", pa.dictionary(pa.int8(), pa.string()), nullable=False),
    pa.field("band", pa.dictionary(pa.int8(), pa.string())),
    pa.field("counted", pa.bool_(), nullable=False),
)
SCHEMA = pa.schema([*list(MEASURED)[:6], *JUDGED, *list(MEASURED)[6:]])
BRIEF = ["x_px", "y_px", "size_px", "positive_px", "negative_px", "marker", "dab_od"]
"""What it takes to judge components, without their shapes."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What the rows of a row group are."""

    counted: Bools
    is_positive: Bools
    band: Ints | None
    """Place in `BANDS`; None where the density of DAB is not known."""


def write_components(
    path: Path, found: Iterable[FoundCells], place: Place, facts: Callable[[], dict[str, Any]]
) -> None:
    """Write components as they were measured; memory is a batch.

    Parameters
    ----------
    facts
        What else a later reader has to know, as JSON; asked for when all components were seen.
    """
    with replace_whole(path) as file, pq.ParquetWriter(file, MEASURED, compression="zstd") as writer:
        waiting: list[pa.Table] = []
        first = 0
        for cells in found:
            waiting.append(_measured(cells, place, first))
            first += len(cells.x)
            if sum(len(table) for table in waiting) >= BATCH:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
        writer.add_key_value_metadata({KIND: json.dumps(facts())})


def read_facts(path: Path) -> dict[str, Any] | None:
    """What `write_components` or `judged_writer` was told; None where the file is none of theirs."""
    metadata = pq.read_metadata(path).metadata or {}
    text = metadata.get(KIND.encode())
    return None if text is None else dict(json.loads(text))


def read_components(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a file of components, judged or not, row group by row group."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns or MEASURED.names)


@contextmanager
def brief_writer(path: Path) -> Iterator[Callable[..., None]]:
    """A function of (rows, `Judged`) that appends to a Parquet file what counts in regions, and nothing else."""
    schema = pa.schema([SCHEMA.field(name) for name in ("x_px", "y_px", "class", "counted")])
    with replace_whole(path) as file, pq.ParquetWriter(file, schema) as writer:

        def write(rows: pa.Table, judged: Judged) -> None:
            writer.write_table(_judge(rows, judged).select(schema.names).cast(schema))

        yield write


def read_counted(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The rows of a judged file that count, row group by row group; `columns` holds `counted`."""
    for rows in read_components(path, columns):
        yield rows.filter(rows["counted"])


@contextmanager
def judged_writer(folder: Path, stem: str, place: Place, facts: dict[str, Any]) -> Iterator[Callable[..., None]]:
    """A function of (rows, `Judged`) that appends to `stem`.parquet, .csv and .geojson.

    The files appear when the block ends well.
    """
    metadata = {
        "histoserve": json.dumps(place.metadata()),
        "geo": json.dumps(geo_metadata()),
        KIND: json.dumps(facts),
    }
    schema = SCHEMA.with_metadata(metadata)
    with ExitStack() as stack:
        parquet, table, shapes = (
            stack.enter_context(replace_whole(folder / f"{stem}{suffix}"))
            for suffix in (".parquet", ".csv", ".geojson")
        )
        writer = stack.enter_context(pq.ParquetWriter(parquet, schema, compression="zstd"))
        rows_of = pa.schema([field for field in schema if field.name != "outline"])
        lines = stack.enter_context(pa.csv.CSVWriter(table, _plain(rows_of), write_options=_options()))
        features = stack.enter_context(_features(shapes, place))

        def write(rows: pa.Table, judged: Judged) -> None:
            whole = _judge(rows, judged).select(schema.names).cast(schema)
            writer.write_table(whole)
            lines.write_table(_rounded(whole.select(rows_of.names), _plain(rows_of)))
            features(whole.filter(whole.column("counted")))

        yield write


def paths_of(folder: Path, stem: str) -> tuple[Path, ...]:
    """The files that `judged_writer` writes."""
    return tuple(folder / f"{stem}{suffix}" for suffix in (".geojson", ".parquet", ".csv"))


def _measured(cells: FoundCells, place: Place, first: int) -> pa.Table:
    columns = {
        "cell": np.arange(first, first + len(cells.x)),
        "x_px": cells.x * place.scale,
        "y_px": cells.y * place.scale,
        "x_um": cells.x * place.mpp,
        "y_um": cells.y * place.mpp,
        "area_um2": cells.size_px * place.mpp**2,
        "size_px": cells.size_px,
        "positive_px": cells.positive_px,
        "negative_px": cells.negative_px,
        "marker": cells.marker,
        "marker_mean": cells.marker_mean,
        "od": cells.od,
        "dab_od": cells.dab_od,
        "outline": _outlines(cells, place),
    }
    arrays = [
        pa.nulls(len(cells.x), field.type)
        if columns[field.name] is None
        else pa.array(columns[field.name]).cast(field.type)
        for field in MEASURED
    ]
    return pa.Table.from_arrays(arrays, schema=MEASURED)


def _outlines(cells: FoundCells, place: Place) -> list[bytes]:
    """Polygons as WKB in level-0 px."""
    points = cells.points * place.scale
    edges = cells.starts.tolist()
    told = []
    for start, stop in pairwise(edges):
        ring = points[start:stop]
        head = b"\x01" + np.array([WKB_POLYGON, 1, stop - start + 1], "<u4").tobytes()
        told.append(b"".join((head, ring.tobytes(), ring[0].tobytes())))
    return told


def _judge(rows: pa.Table, judged: Judged) -> pa.Table:
    kinds = pa.DictionaryArray.from_arrays(pa.array(judged.is_positive.astype(np.int8)), pa.array(CLASSES))
    bands = (
        pa.nulls(len(rows), JUDGED[1].type)
        if judged.band is None
        else pa.DictionaryArray.from_arrays(pa.array(judged.band.astype(np.int8)), pa.array(BANDS))
    )
    for field, column in zip(JUDGED, (kinds, bands, pa.array(judged.counted)), strict=True):
        rows = rows.append_column(field, column)
    return rows


def _plain(schema: pa.Schema) -> pa.Schema:
    """The types as CSV takes them."""
    return pa.schema([pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema])


def _rounded(rows: pa.Table, plain: pa.Schema) -> pa.Table:
    # Only results with an IHC mask come here; it takes longer to load than pyarrow itself.
    import pyarrow.compute as pc

    rounded = [
        pc.round(rows[name], ndigits=4) if pa.types.is_floating(rows[name].type) else rows[name] for name in plain.names
    ]
    return pa.Table.from_arrays(rounded, names=plain.names).cast(plain)


def _options() -> pa.csv.WriteOptions:
    return pa.csv.WriteOptions(quoting_style="none")


@contextmanager
def _features(file: IO[bytes], place: Place) -> Iterator[Write]:
    """A function that appends rows to a FeatureCollection as QuPath reads it."""
    file.write(f'{{"type":"FeatureCollection","histoserve":{json.dumps(place.metadata())},"features":['.encode())
    separator = "\n"

    def write(rows: pa.Table) -> None:
        nonlocal separator
        for feature in _feature_texts(rows, place):
            file.write(f"{separator}{feature}".encode())
            separator = ",\n"

    yield write
    file.write(b"\n]}\n")


def _feature_texts(rows: pa.Table, place: Place) -> Iterator[str]:
    names = ["cell", "class", "band", "area_um2", "marker", "dab_od", "outline"]
    whole = place.scale.is_integer()
    for cell, kind, band, area, marker, dab, outline in zip(*(rows[name].to_pylist() for name in names), strict=True):
        ring = np.frombuffer(outline, "<f8", offset=HEADER_SIZE).reshape(-1, 2)
        corners = ring.astype(np.int64).tolist() if whole else np.round(ring, DECIMALS).tolist()
        told = kind if band is None or kind == "negative" else f"{kind} {band}"
        colour = COLOURS[band or ("0" if kind == "negative" else "3+")]
        density = None if dab is None else round(dab, 4)
        measured = {"Area µm^2": round(area, DECIMALS), "Marker": marker, "DAB OD": density}
        yield (
            f'{{"type":"Feature","geometry":{{"type":"Polygon","coordinates":[{_encode(corners)}]}},'
            f'"properties":{{"objectType":"detection","cell":{cell},'
            f'"classification":{_encode({"name": told, "color": list(colour)})},'
            f'"measurements":{_encode({name: value for name, value in measured.items() if value is not None})}}}}}'
        )


def _encode(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
