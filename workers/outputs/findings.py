"""The three files of a list of findings, written in one pass over it."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from workers.measures.cells import Cell
from workers.measures.points import Point
from workers.outputs.geojson import geojson_writer
from workers.outputs.labels import Labels
from workers.outputs.place import Place
from workers.outputs.tables import csv_writer, parquet_writer

BATCH = 8192
"""Findings held at once; a Parquet row group."""


def write_findings(
    folder: Path,
    stem: str,
    findings: Iterable[Cell] | Iterable[Point],
    place: Place,
    labels: Labels,
    *,
    is_brief: bool = False,
) -> tuple[Path, ...]:
    """The paths of `stem`.geojson, .parquet and .csv, or of the Parquet file alone where brief.

    They appear once the last finding is written. Memory is one batch of findings.
    """
    whole = {".geojson": geojson_writer, ".parquet": parquet_writer, ".csv": csv_writer}
    writers = {".parquet": parquet_writer} if is_brief else whole
    paths = tuple(folder / f"{stem}{suffix}" for suffix in writers)
    with ExitStack() as stack:
        sinks = [
            stack.enter_context(writer(path, place, labels))
            for path, writer in zip(paths, writers.values(), strict=True)
        ]
        for batch in _batches(findings):
            for write in sinks:
                write(batch)
    return paths


def _batches(findings: Iterable[Cell] | Iterable[Point]) -> Iterator[list[Cell] | list[Point]]:
    stream = iter(findings)
    while batch := list(islice(stream, BATCH)):
        yield batch  # type: ignore[misc]  # a stream holds one kind of finding
