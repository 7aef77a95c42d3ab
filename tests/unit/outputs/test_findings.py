import csv
import json
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.manifest import ClassSpec
from workers.geometry import Box
from workers.measures.cells import Cell
from workers.measures.points import Point
from workers.outputs import findings as findings_module
from workers.outputs.findings import write_findings
from workers.outputs.labels import Labels
from workers.outputs.place import Place

PLACE = Place(mpp=0.5, level0_mpp=0.2, bounds=Box(10, 20, 300, 400))
LABELS = Labels(
    default=ClassSpec(name='a "cell", µ', colour=(1, 2, 3)),
    classes=(ClassSpec(name="negative", colour=(0, 0, 255)), ClassSpec(name="positive", colour=(255, 0, 0))),
)
SQUARE = np.array([[3, 4], [7, 4], [7, 8], [3, 8]], dtype=np.int32)


def _cell(index=0, probability=None, vote=None):
    return Cell(index, 5.0, 6.0, Box(3, 4, 4, 4), 4.0, SQUARE, probability, vote)


def _write(folder, findings, place=PLACE):
    return write_findings(folder, "cells", iter(findings), place, LABELS)


def test_a_square_lands_at_level_0_in_all_three_files(tmp_path):
    geojson, parquet, table = _write(tmp_path, [_cell(probability=0.25, vote=1)])
    feature = json.loads(geojson.read_bytes())["features"][0]
    ring = [[7.5, 10], [17.5, 10], [17.5, 20], [7.5, 20], [7.5, 10]]
    assert feature["geometry"] == {"type": "Polygon", "coordinates": [ring]}
    row = pq.read_table(parquet).to_pylist()[0]
    assert (row["x_px"], row["y_px"], row["x_um"], row["y_um"]) == (12.5, 15.0, 2.5, 3.0)
    assert _polygon(row["outline"]) == ring
    with table.open(newline="") as file:
        line = next(csv.DictReader(file))
    assert line == {
        "cell": "0", "x_px": "12.5", "y_px": "15", "x_um": "2.5", "y_um": "3", "area_um2": "4",
        "class": "positive", "probability": "0.25",
    }  # fmt: skip


def _polygon(blob):
    order, kind, rings, count = struct.unpack_from("<BIII", blob)
    assert (order, kind, rings) == (1, 3, 1)
    return np.frombuffer(blob, dtype="<f8", offset=13).reshape(count, 2).tolist()


def test_features_are_what_qupath_reads(tmp_path):
    geojson, *_ = _write(tmp_path, [_cell(), _cell(1, probability=0.5, vote=0)])
    collection = json.loads(geojson.read_bytes())
    assert collection["type"] == "FeatureCollection"
    plain, voted = (feature["properties"] for feature in collection["features"])
    assert plain == {
        "objectType": "detection",
        "cell": 0,
        "classification": {"name": 'a "cell", µ', "color": [1, 2, 3]},
        "measurements": {"Area µm^2": 4.0},
    }
    assert voted["classification"] == {"name": "negative", "color": [0, 0, 255]}
    assert voted["measurements"] == {"Area µm^2": 4.0, "Probability": 0.5}
    assert all("id" not in feature for feature in collection["features"])


def test_every_file_says_where_it_lies(tmp_path):
    geojson, parquet, _ = _write(tmp_path, [_cell()])
    expected = PLACE.metadata()
    assert expected["level0_affine"] == [[2.5, 0.0, 0.0], [0.0, 2.5, 0.0]]
    assert json.loads(geojson.read_bytes())["histoserve"] == expected
    metadata = pq.read_schema(parquet).metadata
    assert json.loads(metadata[b"histoserve"]) == expected
    assert json.loads(metadata[b"geo"])["primary_column"] == "outline"


def test_points_have_no_area(tmp_path):
    geojson, parquet, table = _write(tmp_path, [Point(0, 2.0, 3.0, 0.875)])
    feature = json.loads(geojson.read_bytes())["features"][0]
    assert feature["geometry"] == {"type": "Point", "coordinates": [5.0, 7.5]}
    assert feature["properties"]["measurements"] == {"Probability": 0.875}
    row = pq.read_table(parquet).to_pylist()[0]
    assert row["area_um2"] is None and struct.unpack("<BIdd", row["outline"]) == (1, 1, 5.0, 7.5)
    assert table.read_text().splitlines()[1] == '0,5,7.5,1,1.5,,"a ""cell"", µ",0.875'


def test_whole_scales_are_written_as_whole_numbers(tmp_path):
    geojson, *_ = _write(tmp_path, [_cell()], Place(0.5, 0.25, Box(0, 0, 1, 1)))
    assert b"[[[6,8],[14,8],[14,16],[6,16],[6,8]]]" in geojson.read_bytes()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_any_number_of_findings_is_written_batch_by_batch(tmp_path, monkeypatch, count):
    monkeypatch.setattr(findings_module, "BATCH", 3)
    geojson, parquet, table = _write(tmp_path, [_cell(index) for index in range(count)])
    assert [f["properties"]["cell"] for f in json.loads(geojson.read_bytes())["features"]] == list(range(count))
    assert pq.read_table(parquet)["cell"].to_pylist() == list(range(count))
    assert pq.ParquetFile(parquet).num_row_groups == -(-count // 3)
    assert len(table.read_text().splitlines()) == count + 1


def test_no_more_than_a_batch_is_taken_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(findings_module, "BATCH", 3)
    alive = set()

    def stream():
        for index in range(30):
            cell = _cell(index)
            alive.add(index)
            yield cell

    monkeypatch.setattr(findings_module, "geojson_writer", _counting(findings_module.geojson_writer, alive))
    _write(tmp_path, stream())
    assert not alive


def _counting(writer, alive):
    from contextlib import contextmanager

    @contextmanager
    def counted(*arguments):
        with writer(*arguments) as write:

            def check(batch):
                assert len(alive) <= 3
                alive.difference_update(cell.index for cell in batch)
                write(batch)

            yield check

    return counted


def test_a_stream_that_fails_leaves_no_file(tmp_path):
    def stream():
        yield _cell()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_findings(tmp_path, "cells", stream(), PLACE, LABELS)
    assert list(tmp_path.iterdir()) == []


def test_the_same_findings_give_the_same_bytes(tmp_path):
    first = [p.read_bytes() for p in _write(tmp_path / "a", [_cell(), _cell(1)])]
    assert first == [p.read_bytes() for p in _write(tmp_path / "b", [_cell(), _cell(1)])]
