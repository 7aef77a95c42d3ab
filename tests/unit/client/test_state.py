"""What a batch keeps beside its table."""

import os

import pytest

from service.client.errors import FileUnreadableError
from service.commands.rows import Row
from service.commands.state import BatchStateError, open_state

SERVICE = "http://127.0.0.1:1"


def row(tmp_path, name: str = "a.svs", **fields) -> Row:
    path = tmp_path / name
    if not path.exists():
        path.write_bytes(b"slide")
    return Row(path=path, model="nuclei", **fields)


def hand_in(tmp_path, *rows: Row) -> list[str]:
    with open_state(tmp_path / "state", SERVICE) as state:
        keys = []
        for number, given in enumerate(rows):
            entry = state.entry(given)
            if entry.job_id is None:
                entry.slide_id, entry.job_id = "sld_1", f"job_{number}"
                entry.sha256 = "2aa69dad8ac87b14e49b05f78c5bdef23edc8c9c9c9d1e06a6c1e6a4aa4e6d37"
            keys.append(entry.key)
        state.save()
    return keys


def test_rows_keep_their_keys_and_the_same_row_twice_is_two(tmp_path) -> None:
    rows = [row(tmp_path), row(tmp_path), row(tmp_path, accession="A")]
    keys = hand_in(tmp_path, *rows)
    assert len(set(keys)) == 3
    assert hand_in(tmp_path, *rows) == keys
    assert hand_in(tmp_path, *rows, row(tmp_path, mpp=0.5))[:3] == keys


def test_other_bytes_are_another_job_and_a_new_date_alone_is_not(tmp_path) -> None:
    import hashlib

    given = row(tmp_path)
    with open_state(tmp_path / "state", SERVICE) as state:
        entry = state.entry(given)
        entry.slide_id, entry.job_id, entry.sha256 = "sld_1", "job_1", hashlib.sha256(b"slide").hexdigest()
        state.save()
    os.utime(tmp_path / "a.svs", ns=(1, 1))
    with open_state(tmp_path / "state", SERVICE) as state:
        assert state.entry(given).job_id == "job_1"
    (tmp_path / "a.svs").write_bytes(b"other")
    with open_state(tmp_path / "state", SERVICE) as state:
        anew = state.entry(given)
        assert (anew.job_id, anew.slide_id) == (None, None)
        assert anew.key != entry.key


def test_a_file_is_not_needed_any_more_when_the_service_has_it(tmp_path) -> None:
    given = row(tmp_path)
    keys = hand_in(tmp_path, given)
    (tmp_path / "a.svs").unlink()
    assert hand_in(tmp_path, given) == keys
    with open_state(tmp_path / "other", SERVICE) as state, pytest.raises(FileUnreadableError):
        state.entry(given)


def test_other_regions_are_another_job(tmp_path) -> None:
    regions = tmp_path / "r.geojson"
    regions.write_text('{"type": "Polygon"}')
    given = row(tmp_path, regions=regions)
    keys = hand_in(tmp_path, given)
    regions.write_text('{"type": "MultiPolygon"}')
    assert hand_in(tmp_path, given) != keys


def test_a_state_in_use_of_another_service_or_broken_is_refused(tmp_path) -> None:
    hand_in(tmp_path, row(tmp_path))
    with open_state(tmp_path / "state", SERVICE), pytest.raises(BatchStateError, match="Another process"):
        open_state(tmp_path / "state", SERVICE).__enter__()
    with pytest.raises(BatchStateError, match="elsewhere"):
        open_state(tmp_path / "state", "http://elsewhere").__enter__()
    (tmp_path / "state").write_text("{")
    with pytest.raises(BatchStateError, match="no state"):
        open_state(tmp_path / "state", SERVICE).__enter__()
