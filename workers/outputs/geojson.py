"""Cells and points as GeoJSON for QuPath 0.4 and later, written as a stream.

Coordinates are level-0 px, corners of pixels, y down. Rings are closed and simple: QuPath 0.6 refuses whole files for
one ring that crosses itself. Objects are detections, which QuPath keeps by the million where annotations bring it
down; they carry no `id`, so QuPath gives them fresh ones and two imports never clash; `cell` is the row in the
tables.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from models.manifest import ClassSpec
from workers.measures.cells import Cell
from workers.measures.points import Point
from workers.outputs.files import replace_whole
from workers.outputs.labels import Labels
from workers.outputs.place import Place

Write = Callable[[Sequence[Cell] | Sequence[Point]], None]

DECIMALS = 2
"""A hundredth of a level-0 pixel; QuPath keeps no more."""


@contextmanager
def geojson_writer(path: Path, place: Place, labels: Labels) -> Iterator[Write]:
    """A function that appends findings to a FeatureCollection; the file appears when the block ends well."""
    with replace_whole(path) as file:
        head = json.dumps(place.metadata(), ensure_ascii=False)
        file.write(f'{{"type":"FeatureCollection","histoserve":{head},"features":['.encode())
        separator = "\n"

        def write(findings: Sequence[Cell] | Sequence[Point]) -> None:
            nonlocal separator
            for feature in _features(findings, place, labels):
                file.write(f"{separator}{feature}".encode())
                separator = ",\n"

        yield write
        file.write(b"\n]}\n")


def _features(findings: Sequence[Cell] | Sequence[Point], place: Place, labels: Labels) -> Iterator[str]:
    # One encoder for all: json.dumps would make a new one for each finding.
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    names: dict[int | None, str] = {}
    for finding in findings:
        vote = finding.vote if isinstance(finding, Cell) else None
        if vote not in names:
            names[vote] = encode(_classification(labels.of(vote)))
        geometry, measured = _describe(finding, place)
        yield (
            f'{{"type":"Feature","geometry":{encode(geometry)},"properties":{{"objectType":"detection",'
            f'"cell":{finding.index},"classification":{names[vote]},"measurements":{encode(measured)}}}}}'
        )


def _classification(label: ClassSpec) -> dict[str, Any]:
    return {"name": label.name, "color": list(label.colour)}


def _describe(finding: Cell | Point, place: Place) -> tuple[dict[str, Any], dict[str, float]]:
    """The geometry in level-0 px, and the measurements."""
    probability = {} if finding.probability is None else {"Probability": round(finding.probability, 4)}
    if isinstance(finding, Point):
        corner = [round(finding.x * place.scale, DECIMALS), round(finding.y * place.scale, DECIMALS)]
        return {"type": "Point", "coordinates": corner}, probability
    corners = finding.outline * place.scale
    is_whole = place.scale.is_integer()
    ring = corners.astype(np.int64).tolist() if is_whole else np.round(corners, DECIMALS).tolist()
    area = {"Area µm^2": round(finding.area_um2, DECIMALS)}
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, area | probability
