"""The band ledger: a line that is there is true, a torn line is a band that is not done, one identity per folder."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import OutputConflictError
from workers.engine.checkpoint import BandRecord, append_band, claim_identity, hold_folder, read_bands
from workers.engine.seams import SeamSums
from workers.outputs.maps import ShardRecord


def record(index: int) -> BandRecord:
    shard = ShardRecord(path=f"a/{index}", sha256="0" * 64, size_bytes=index)
    return BandRecord(index=index, tiles=3, shards=(shard,), seams={"a": SeamSums(1, 2, 3, 4)})


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    for index in (2, 0, 7):
        append_band(tmp_path, record(index))
    assert read_bands(tmp_path) == {index: record(index) for index in (0, 2, 7)}


@given(cut=st.integers(1, 200))
def test_a_torn_last_line_is_a_band_that_is_not_done(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    state = tmp_path_factory.mktemp("state")
    append_band(state, record(0))
    whole = (state / "bands.jsonl").read_bytes()
    append_band(state, record(1))
    second = (state / "bands.jsonl").read_bytes()[len(whole) :]
    (state / "bands.jsonl").write_bytes(whole + second[: min(cut, len(second) - 1)])
    assert list(read_bands(state)) == [0]
    append_band(state, record(1))
    assert read_bands(state) == {0: record(0), 1: record(1)}


def test_an_unknown_folder_is_new_and_the_same_identity_resumes(tmp_path: Path) -> None:
    assert claim_identity(tmp_path, {"slide": "a"}) is False
    assert claim_identity(tmp_path, {"slide": "a"}) is True


def test_another_identity_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    claim_identity(tmp_path, {"slide": "a", "package": "p"})
    with pytest.raises(OutputConflictError, match=r"different: package, tile\."):
        claim_identity(tmp_path, {"slide": "a", "package": "q", "tile": 512})
    assert json.loads((tmp_path / "identity.json").read_text()) == {"slide": "a", "package": "p"}


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path: Path) -> None:
    with hold_folder(tmp_path), pytest.raises(OutputConflictError, match="Another run"), hold_folder(tmp_path):
        pass
    with hold_folder(tmp_path) as state:
        assert state.is_dir()
