"""Uploads that another process goes on with."""

import os

import pytest

from service.client.errors import FileUnreadableError
from service.client.place import Place
from service.client.remembered import cache_folder, identity, remember

HERE = Place("http://127.0.0.1:1", "k")


def test_what_is_kept_is_there_the_next_time_and_gone_when_forgotten(tmp_path) -> None:
    with remember("a", tmp_path) as memory:
        assert memory.upload_id is None
        memory.keep("upl_1")
    with remember("a", tmp_path) as memory:
        assert memory.upload_id == "upl_1"
        memory.forget()
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_do_not_share_an_upload(tmp_path) -> None:
    with remember("a", tmp_path) as first:
        first.keep("upl_1")
        with remember("a", tmp_path) as second:
            assert second.upload_id is None
            second.keep("upl_2")
        assert first.upload_id == "upl_1"


@pytest.mark.parametrize("content", ["{", "[]", '{"upload_id": 3}', "\x00"])
def test_a_broken_memory_is_none(tmp_path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with remember("a", tmp_path) as memory:
        assert memory.upload_id is None


def test_a_cache_that_cannot_be_written_is_no_hindrance(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with remember("a", tmp_path / "file") as memory:
        memory.keep("upl_1")
        assert memory.upload_id is None


def test_another_content_time_place_or_service_is_another_upload(tmp_path) -> None:
    path = tmp_path / "s.svs"
    path.write_bytes(b"a" * 200_000)
    os.utime(path, ns=(1, 1))
    found = {
        identity(path, HERE),
        identity(path, Place("http://127.0.0.1:2", "k")),
        identity(path, Place(HERE.url, "j")),
    }
    (tmp_path / "t.svs").write_bytes(path.read_bytes())
    found.add(identity(tmp_path / "t.svs", HERE))
    os.utime(path, ns=(1, 2))
    found.add(identity(path, HERE))
    path.write_bytes(b"a" * 199_999 + b"b")
    os.utime(path, ns=(1, 1))
    found.add(identity(path, HERE))
    assert len(found) == 6
    assert all(len(name) == 64 and name.isalnum() for name in found)


def test_what_cannot_be_read_is_refused(tmp_path) -> None:
    with pytest.raises(FileUnreadableError, match="No such file"):
        identity(tmp_path / "none.svs", HERE)
    with pytest.raises(FileUnreadableError, match="folder"):
        identity(tmp_path, HERE)


def test_the_cache_lies_where_the_user_wants_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "histoserve"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder().parts[-2:] == (".cache", "histoserve")
