"""Slides and tables from the command line."""

import json

import pytest

from models.errors import ParametersInvalidError, RefusedInputError
from models.parameters import read_settings
from service.commands.rows import TableInvalidError, rows_of_slides, rows_of_table

NUCLEI = {"model": "nuclei", "priority": "routine", "parameters": {}}


def table(tmp_path, text: str, name: str = "t.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_patterns_folders_files_and_uris_are_slides_each_once(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.svs", "a.ndpi", "notes.txt", ".hidden.svs"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    rows = rows_of_slides(["*.svs", ".", "b.svs", "missing.svs", "s3://bucket/x.svs"], NUCLEI)
    assert [row.source for row in rows] == ["b.svs", "a.ndpi", "missing.svs", "s3://bucket/x.svs"]
    for nothing in ("*.mrxs", "empty"):
        with pytest.raises(RefusedInputError, match="holds no slide"):
            rows_of_slides([nothing], NUCLEI)


def test_a_table_says_what_is_done_with_each_slide(tmp_path) -> None:
    text = (
        "path,mpp,accession,priority,parameters,analysis,regions\n"
        'a.svs,0.5,A-1,stat,"{""min_area_um2"": 12}",,r.geojson\n\nb.svs,,A-2,,,ki67,\n'
    )
    first, second = rows_of_table(table(tmp_path, "\ufeff" + text), NUCLEI)
    assert (first.path, first.regions) == (tmp_path / "a.svs", tmp_path / "r.geojson")
    assert (first.mpp, first.priority, first.parameters) == (0.5, "stat", {"min_area_um2": 12})
    assert (first.model, first.analysis, first.ids.accession) == ("nuclei", None, "A-1")
    assert (second.model, second.analysis, second.priority) == (None, "ki67", "routine")


def test_json_is_a_table_too(tmp_path) -> None:
    document = [{"path": "a.svs", "mpp": 0.5}, {"uri": "file:///slides/b.svs", "model": "other"}]
    first, second = rows_of_table(table(tmp_path, json.dumps(document), "t.json"), NUCLEI)
    assert (first.path, first.model) == (tmp_path / "a.svs", "nuclei")
    assert (second.uri, second.model) == ("file:///slides/b.svs", "other")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,magnification\na.svs,20\n", "row 1: there is no column 'magnification'"),
        ("path,mpp\na.svs,0.5\nb.svs,fine\n", "row 2: mpp"),
        ("path,priority\na.svs,soon\n", "row 1: priority"),
        ("path,uri\na.svs,file:///b.svs\n", "either path or uri"),
        ("accession\nA\n", "either path or uri"),
        ("path,model,analysis\na.svs,m,a\n", "either a model or an analysis"),
        ("path,mpp\na.svs\n", "as many cells"),
        ("path,mpp\na.svs,1,2\n", "as many cells"),
        ("path,parameters\na.svs,{\n", "cannot be read"),
        ('path\n"a.svs\n', "cannot be read"),
        ("path\n", "no rows"),
        ("", "no rows"),
        ("path,accession\na.svs,\x07\n", "row 1: accession"),
    ],
)
def test_a_table_that_is_not_valid_is_refused_with_its_row(tmp_path, text: str, told: str) -> None:
    with pytest.raises(TableInvalidError, match=told):
        rows_of_table(table(tmp_path, text), NUCLEI)


@pytest.mark.parametrize("text", ["{}", "[]", "[1]", "x"])
def test_json_that_is_no_table_is_refused(tmp_path, text: str) -> None:
    with pytest.raises(TableInvalidError):
        rows_of_table(table(tmp_path, text, "t.json"), NUCLEI)


def test_a_table_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(TableInvalidError, match="No such file"):
        rows_of_table(tmp_path / "none.csv", NUCLEI)


def test_settings_are_json_where_they_are() -> None:
    assert read_settings(["a=1.5", "b=true", "c=x=y"]) == {"a": 1.5, "b": True, "c": "x=y"}
    with pytest.raises(ParametersInvalidError, match="no value"):
        read_settings(["a"])
