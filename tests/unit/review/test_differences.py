"""`histoserve diff`: causes, what came of them, and what does not count."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from service import cli
from tests.unit.outputs.samples import make_spec, store
from tests.unit.review.made import file_part, made_result, result_fields, write_result
from workers.review.commands import diff
from workers.review.contents import compare_contents, compare_maps, compare_tables
from workers.review.differences import compare_results

FIELDS = result_fields()


def configuration(**changes: object) -> dict:
    return FIELDS["configuration"] | changes


def test_other_seconds_paths_and_threads_are_the_same_result():
    other = configuration(slide="copy.png", package="./folder", readers=8, threads=4, overwrite=True, tile_px=64)
    found = compare_results(made_result(), made_result(configuration=other, seconds={"total": 9.0}, resumed=True))
    assert (found.verdict, found.differences) == ("same", ())
    assert {item.name for item in found.incidental} == {
        "slide",
        "package",
        "readers",
        "threads",
        "overwrite",
        "resumed",
        "seconds.total",
    }


@pytest.mark.parametrize(
    ("changes", "section", "name"),
    [
        ({"slide": FIELDS["slide"] | {"sha256": "f" * 64}}, "slide", "sha256"),
        ({"slide": FIELDS["slide"] | {"mpp": 0.25}}, "slide", "mpp"),
        ({"package": FIELDS["package"] | {"reference": "other@1.0.0"}}, "package", "reference"),
        ({"package": FIELDS["package"] | {"manifest_sha256": "c" * 64}}, "package", "manifest_sha256"),
        ({"package": FIELDS["package"] | {"provider": "openvino-cpu"}}, "package", "provider"),
        ({"code_version": "0.2.0"}, "code", "version"),
        ({"configuration": configuration(parameters={"force": True})}, "configuration", "parameters.force"),
        ({"configuration": configuration(batch_shape=[4, 80, 80, 3])}, "configuration", "batch_shape"),
        ({"plan": FIELDS["plan"] | {"tile_px": 128}}, "configuration", "tile_px"),
        ({"plan": FIELDS["plan"] | {"tissue_mm2": 0.004}}, "plan", "tissue_mm2"),
        ({"quality": {"stain": {"stain": "ihc-dab", "confidence": 0.9}}}, "quality", "stain.stain"),
    ],
)
def test_each_cause_is_named(changes, section, name):
    found = compare_results(made_result(), made_result(**changes))
    assert (section, name) in [(item.section, item.name) for item in found.differences]
    assert found.verdict == "same-outcome"


def test_regions_are_compared_by_name_not_vertex_by_vertex():
    def regions(*sides: int) -> dict:
        features = [
            {"geometry": {"coordinates": [[0, 0], [side, side]]}, "properties": {"name": f"r{index}"}}
            for index, side in enumerate(sides)
        ]
        return configuration(regions={"type": "FeatureCollection", "features": features})

    one, other = made_result(configuration=regions(5, 7)), made_result(configuration=regions(5, 8, 9))
    assert [item.name for item in compare_results(one, other).differences] == ["regions.r1", "regions.r2"]


def test_scores_stand_side_by_side():
    scores = {"points": {"class": "spot", "count": 5, "place": {"count": 2, "x_px": None}, "more": True}}
    region = {"name": "tumour", "area_mm2": 1.0, "tissue_mm2": 1.0, "findings": {"points": 2}, "per_mm2": {}}
    found = compare_results(made_result(), made_result(scores=scores, regions=[region]))
    told = {item.name: (item.a, item.b, item.change) for item in found.of("scores")}
    assert told == {
        "points.count": (3, 5, 2.0),
        "points.place.x_px": (10.0, None, None),
        "points.more": (None, True, None),
        "regions.tumour.area_mm2": (None, 1.0, None),
        "regions.tumour.tissue_mm2": (None, 1.0, None),
        "regions.tumour.findings.points": (None, 2, None),
    }
    assert found.equal_scores == 3
    assert found.unexplained


def test_a_difference_with_a_cause_is_explained():
    scores = {"points": {"count": 5}}
    parameters = configuration(parameters={"force": False, "detection_threshold": 0.4})
    found = compare_results(made_result(), made_result(scores=scores, configuration=parameters))
    assert (found.verdict, found.unexplained) == ("different", False)
    assert [item.name for item in found.of("configuration")] == ["parameters.detection_threshold"]


def test_warnings_and_files_of_one_alone_are_told():
    warning = {"slug": "focus", "text": "blurred"}
    one = made_result(files=[file_part("a.csv", b"a"), file_part("b.csv", b"b")])
    other = made_result(files=[file_part("b.csv", b"B"), file_part("c.csv", b"c")], warnings=[warning])
    found = compare_results(one, other)
    assert [(item.name, item.a, item.b) for item in found.of("warnings")] == [("focus", None, "blurred")]
    assert [(item.name, item.a is None, item.b is None) for item in found.of("files")] == [
        ("a.csv", False, True),
        ("b.csv", False, False),
        ("c.csv", True, False),
    ]


def write_table(path: Path, rows: list[tuple[float, float, str]]) -> Path:
    xs, ys, names = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"x_px": pa.array(xs, pa.float64()), "y_px": pa.array(ys, pa.float64()), "class": pa.array(names)}
    pq.write_table(pa.table(columns | {"class": columns["class"].cast(pa.string()).dictionary_encode()}), path)
    return path


def test_tables_are_compared_row_by_row_in_any_order(tmp_path):
    one = write_table(tmp_path / "a.parquet", [(1, 2, "x"), (3, 4, "x"), (3, 4, "x"), (5, 6, "y")])
    other = write_table(tmp_path / "b.parquet", [(5, 6, "y"), (1, 2, "z"), (3.0001, 4, "x")])
    found = compare_tables(one, other)
    assert (found.rows_a, found.rows_b, found.shared) == (4, 3, 2)
    assert "2 only in A, 1 only in B" in found.text()
    empty = write_table(tmp_path / "c.parquet", [])
    assert compare_tables(one, empty).shared == 0


def write_map(folder: Path, values: np.ndarray) -> Path:
    spec = store(folder, make_spec(values.shape[1], values.shape[0], "heat", shard=64, chunk=32), values)
    return folder / spec.folder_name


def test_maps_are_compared_value_by_value(tmp_path):
    values = np.full((40, 50), 7, np.uint8)
    one = write_map(tmp_path / "a", values)
    values[:10, :20] = 17
    other = write_map(tmp_path / "b", values)
    found = compare_maps(one, other)
    assert (found.differing, found.largest) == (pytest.approx(0.1), 10)
    small = write_map(tmp_path / "c", values[:20])
    assert compare_maps(one, small).differing is None
    assert "sizes" in compare_maps(one, small).text()


def test_contents_are_compared_only_where_they_are_tables_or_maps_and_at_hand(tmp_path):
    (tmp_path / "a").mkdir()
    write_table(tmp_path / "a" / "points.parquet", [(1, 2, "x")])
    assert compare_contents(tmp_path / "a", tmp_path / "b", "points.parquet") is None
    assert compare_contents(tmp_path / "a", tmp_path / "a", "points.csv") is None
    assert compare_contents(tmp_path / "a", tmp_path / "a", "points.parquet").shared == 1


@pytest.fixture
def run(monkeypatch):
    def build(_: list[str]) -> typer.Typer:
        app = typer.Typer()
        app.command()(diff)
        return app

    monkeypatch.setattr(cli, "build_app", build)
    return cli.run_command


def test_exit_codes_are_those_of_diff(tmp_path, run, capsys):
    one, same = write_result(tmp_path / "a"), write_result(tmp_path / "b", seconds={"total": 3.0})
    other = write_result(tmp_path / "c", scores={"points": {"count": 4, "label": "[bold]"}})
    assert run([str(one), str(same)]) == 0
    assert "the same" in capsys.readouterr().out
    assert run([str(one), str(other / "result.json")]) == 1
    text = capsys.readouterr().out
    assert "points.count" in text and "Nothing that was chosen differs" in text and "[bold]" in text
    assert run([str(one), str(other), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["unexplained"]) == ("different", True)
    assert run([str(one), str(tmp_path)]) == 2
    (other / "result.json").write_text("{}")
    assert run([str(one), str(other), "--json"]) == 2
    assert run([str(one)]) == 2
