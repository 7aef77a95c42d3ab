"""A result as a zip: whole, the same each time, made of what was written and nothing else."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from models.errors import IntegrityError
from service.archive import DATE, FLUSH_BYTES, zip_pieces
from workers.contract.settings import Settings
from workers.contract.store import Store, open_store
from workers.ledger.jobs import Artifact
from workers.ledger.results import StoredFile

FILES = {"result.json": b"{}", "maps/0/c/0": bytes(range(256)) * 8000, "empty": b"", "a b/ü.txt": b"name"}


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(Settings(home=tmp_path / "home"))


def stored(store: Store, folder: Path, name: str, data: bytes) -> StoredFile:
    source = folder / "source"
    source.write_bytes(data)
    store.put(source, f"jobs/j/{name}")
    source.unlink()
    return StoredFile(f"jobs/j/{name}", Artifact("j", name, hashlib.sha256(data).hexdigest(), len(data), "x/y"))


@pytest.fixture
def files(store, tmp_path) -> list[StoredFile]:
    return [stored(store, tmp_path, name, data) for name, data in FILES.items()]


def test_a_zip_holds_every_file_as_it_is_in_order(store, files):
    pieces = list(zip_pieces(store, files))
    assert len(pieces) > 2
    assert max(map(len, pieces)) < FLUSH_BYTES + (2 << 20), "it is not gathered"
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(FILES)
        assert {name: archive.read(name) for name in FILES} == FILES
        assert {(info.date_time, info.compress_type) for info in archive.infolist()} == {(DATE, zipfile.ZIP_STORED)}


def test_the_same_files_are_the_same_zip(store, files):
    assert b"".join(zip_pieces(store, files)) == b"".join(zip_pieces(store, files[::-1]))


def test_a_file_beyond_four_gib_is_written_in_the_larger_fields(store, tmp_path, monkeypatch):
    monkeypatch.setattr("service.archive.LARGE_BYTES", 1)
    data = b"".join(zip_pieces(store, [stored(store, tmp_path, "big", b"abc")]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("big") == b"abc"
        assert archive.infolist()[0].extract_version == zipfile.ZIP64_VERSION


def test_an_altered_file_of_the_same_size_breaks_the_zip_off(store, files):
    place = store.local_path("jobs/j/result.json")
    assert place is not None
    place.write_bytes(b"[]")
    sent = bytearray()
    with pytest.raises(IntegrityError, match=r"result\.json"):
        for piece in zip_pieces(store, files):
            sent += piece
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))
