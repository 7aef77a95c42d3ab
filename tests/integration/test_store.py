"""The store keeps whole files, on a disk and in a bucket alike."""

import errno
import os
from collections.abc import Iterator

import pytest

from tests.s3_server import s3_server
from workers.contract.errors import DiskFullError, StoreError
from workers.contract.settings import Settings
from workers.contract.store import Store, open_store


@pytest.fixture(params=["disk", "bucket"])
def store(request, tmp_path) -> Iterator[Store]:
    if request.param == "disk":
        yield open_store(Settings(home=tmp_path / "home"))
        return
    with s3_server() as bucket:
        options = {"endpoint_url": bucket.url, "key": "k", "secret": "s", "skip_instance_cache": True}
        yield open_store(Settings(home=tmp_path, store_url="s3://slides-and-results/hs", store_options=options))


def put(store: Store, tmp_path, key: str, data: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(data)
    store.put(source, key)
    source.unlink()


def test_what_is_put_can_be_fetched_and_read(store, tmp_path):
    data = os.urandom(3_000_000)
    put(store, tmp_path, "jobs/j/results/maps/0/c/0", data)
    assert store.size("jobs/j/results/maps/0/c/0") == len(data)
    store.fetch("jobs/j/results/maps/0/c/0", tmp_path / "new" / "folder" / "copy")
    assert (tmp_path / "new" / "folder" / "copy").read_bytes() == data
    assert b"".join(store.read("jobs/j/results/maps/0/c/0")) == data
    assert b"".join(store.read("jobs/j/results/maps/0/c/0", 1_500_000, 1_500_010)) == data[1_500_000:1_500_010]
    assert store.exists("jobs/j/results/maps/0/c/0")
    assert not store.exists("jobs/j/results/maps/0/c"), "a folder is no file"


def test_a_second_put_takes_the_place_of_the_first(store, tmp_path):
    put(store, tmp_path, "a", b"one")
    put(store, tmp_path, "a", b"three")
    assert b"".join(store.read("a")) == b"three"


def test_removing_takes_what_is_under_a_folder_and_nothing_else(store, tmp_path):
    for key in ("jobs/a/1", "jobs/a/b/2", "jobs/ab/3"):
        put(store, tmp_path, key, b"x")
    store.remove("jobs/a")
    assert [store.exists(key) for key in ("jobs/a/1", "jobs/a/b/2", "jobs/ab/3")] == [False, False, True]
    store.remove("jobs/a")


def test_names_are_those_right_under_a_folder(store, tmp_path):
    for key in ("jobs/a/1", "jobs/b/c/2", "slides/s"):
        put(store, tmp_path, key, b"x")
    assert store.names("jobs") == ["jobs/a", "jobs/b"]
    assert store.names("jobs/a") == ["jobs/a/1"]
    assert store.names("nothing") == []


def test_what_is_not_there_is_told(store, tmp_path):
    with pytest.raises(StoreError):
        store.size("nothing")
    with pytest.raises(StoreError):
        store.fetch("nothing", tmp_path / "copy")
    with pytest.raises(StoreError):
        list(store.read("nothing"))


@pytest.mark.parametrize("key", ["../a", "a/../../b", "/etc/passwd", "a\\b", "a\0b", ""])
def test_keys_cannot_lead_out(store, key):
    with pytest.raises(StoreError, match="no key"):
        store.size(key)


def test_a_store_can_be_checked(store):
    store.check()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    store = open_store(Settings(home=tmp_path / "home"))
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(DiskFullError):
        store.put(source, "a")
    assert [p for p in (tmp_path / "home" / "store").rglob("*") if p.is_file()] == []
