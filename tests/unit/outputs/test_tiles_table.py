"""Tiles in GeoJSON, Parquet and CSV, worked out by hand."""

import csv
import json
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.manifest import ClassSpec
from workers.geometry import Box
from workers.outputs.place import Place
from workers.outputs.tiles_table import TileBatch, TileLabels, write_tiles

LABELS = TileLabels(
    (ClassSpec(name="Other", colour=(1, 2, 3)), ClassSpec(name='In "situ", x', colour=(4, 5, 6))),
    ("Other", 'In "situ", x'),
)
PLACE = Place(mpp=50.0, level0_mpp=0.5, bounds=Box(0, 0, 1000, 1000))
"""A tile is 100 level-0 px wide."""


def batch(first: int, columns: list[int], rows: list[int], second: list[float]) -> TileBatch:
    likely = np.array(second)
    classes = (likely >= 0.5).astype(np.int64)
    return TileBatch(first, np.array(columns), np.array(rows), classes, np.stack((1 - likely, likely), axis=1))


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, ...]:
    return write_tiles(tmp_path, "tiles", [batch(0, [3, 4], [2, 2], [0.25, 1]), batch(2, [0], [9], [0])], PLACE, LABELS)


def test_parquet_has_place_class_and_probabilities(paths):
    table = pq.read_table(paths[1])
    rows = table.to_pylist()
    assert [row["tile"] for row in rows] == [0, 1, 2]
    assert [(row["x_px"], row["y_px"]) for row in rows] == [(350, 250), (450, 250), (50, 950)]
    assert [(row["x_um"], row["y_um"]) for row in rows] == [(175, 125), (225, 125), (25, 475)]
    assert (rows[0]["left_px"], rows[0]["top_px"], rows[0]["width_px"], rows[0]["height_px"]) == (300, 200, 100, 100)
    assert [row["class"] for row in rows] == ["Other", 'In "situ", x', "Other"]
    assert [row["prob_Other"] for row in rows] == [0.75, 0, 1]
    assert struct.unpack("<BIII10d", rows[2]["outline"]) == (1, 3, 1, 5, 0, 900, 100, 900, 100, 1000, 0, 1000, 0, 900)
    assert json.loads(table.schema.metadata[b"geo"])["primary_column"] == "outline"
    assert pq.ParquetFile(paths[1]).num_row_groups == 2


def test_geojson_has_tiles_for_qupath(paths):
    document = json.loads(paths[0].read_bytes())
    first, second, third = document["features"]
    assert first["geometry"]["coordinates"] == [[[300, 200], [400, 200], [400, 300], [300, 300], [300, 200]]]
    assert first["properties"]["objectType"] == "tile" and third["properties"]["tile"] == 2
    assert second["properties"]["classification"] == {"name": 'In "situ", x', "color": [4, 5, 6]}
    assert first["properties"]["measurements"] == {"Probability Other": 0.75, 'Probability In "situ", x': 0.25}
    assert document["histoserve"]["level0_mpp"] == 0.5


def test_csv_has_the_same_without_outlines(paths):
    rows = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert [row["class"] for row in rows] == ["Other", 'In "situ", x', "Other"]
    assert rows[0] | {} == {
        "tile": "0",
        "x_px": "350",
        "y_px": "250",
        "x_um": "175",
        "y_um": "125",
        "left_px": "300",
        "top_px": "200",
        "width_px": "100",
        "height_px": "100",
        "class": "Other",
        "prob_Other": "0.75",
        'prob_In "situ", x': "0.25",
    }


def test_no_tiles_make_whole_files(tmp_path):
    geojson, parquet, text = write_tiles(tmp_path, "tiles", [], PLACE, TileLabels(LABELS.classes, ()))
    assert json.loads(geojson.read_bytes())["features"] == []
    assert pq.read_table(parquet).num_rows == 0
    assert text.read_text() == "tile,x_px,y_px,x_um,y_um,left_px,top_px,width_px,height_px,class\n"
