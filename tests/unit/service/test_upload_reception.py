"""Whatever happens to requests and to the process: what was acknowledged is in the file, byte for byte."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.errors import IntegrityError
from service.uploads.digests import RunningDigests
from service.uploads.errors import ChecksumMismatchError, UploadLockedError, UploadTooLargeError
from service.uploads.files import UploadFile
from service.uploads.headers import Checksum
from service.uploads.reception import Reception, Terms
from workers.contract.errors import DiskFullError, LedgerAwayError

LENGTH = 64
PIECE = 8
NAME = "upl_a"
PIECES = st.lists(st.binary(min_size=1, max_size=6), max_size=5)
MEMORY = Path("/dev/shm")


class UploadMachine(RuleBasedStateMachine):
    """Requests, one after the other, against what a ledger would remember."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.digests = RunningDigests()
        self.acknowledged = 0
        self.told: str | None = None
        self.sent = b""
        self.fails: str | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def acknowledge(self, offset: int, sha256: str | None) -> None:
        """The ledger: it may be away before the commit, or after it."""
        if self.fails == "before":
            raise LedgerAwayError("away")
        self.acknowledged, self.told = offset, sha256
        if self.fails == "after":
            raise LedgerAwayError("away")

    def open(self, checksum: Checksum | None = None, reserve_bytes: int = 0) -> Reception:
        terms = Terms(NAME, self.folder, LENGTH, reserve_bytes, checksum, PIECE)
        self.file = UploadFile(self.folder, NAME)
        self.sent = self.sent[: self.acknowledged]
        return Reception(self.file, terms, self.acknowledged, self.digests, self.acknowledge)

    def take(self, reception: Reception, pieces: list[bytes]) -> None:
        for piece in pieces:
            if len(self.sent) + len(piece) > LENGTH:
                with pytest.raises(UploadTooLargeError):
                    reception.take(piece)
                break
            self.sent += piece
            reception.take(bytearray(piece))

    @rule(pieces=PIECES)
    def whole(self, pieces: list[bytes]) -> None:
        pieces = fitting(pieces, LENGTH - self.acknowledged)
        reception = self.open()
        self.take(reception, pieces)
        assert reception.finish() == len(self.sent)
        reception.close()
        assert self.acknowledged == len(self.sent)

    @rule(pieces=PIECES)
    def broken_off(self, pieces: list[bytes]) -> None:
        reception = self.open()
        self.take(reception, fitting(pieces, LENGTH - self.acknowledged))
        reception.close()
        assert self.acknowledged == len(self.sent)
        reception.take(b"late")

    @rule(pieces=PIECES, is_right=st.booleans(), algorithm=st.sampled_from(["sha256", "sha1", "md5"]))
    def with_checksum(self, pieces: list[bytes], is_right: bool, algorithm: str) -> None:
        pieces, before = fitting(pieces, LENGTH - self.acknowledged), self.acknowledged
        digest = hashlib.new(algorithm, b"".join(pieces) + (b"" if is_right else b"!")).digest()
        reception = self.open(Checksum(algorithm, digest))
        self.take(reception, pieces)
        assert self.acknowledged == before
        if is_right:
            reception.finish()
        else:
            with pytest.raises(ChecksumMismatchError):
                reception.finish()
        reception.close()
        assert self.acknowledged == (len(self.sent) if is_right else before)
        assert (self.folder / NAME).stat().st_size == self.acknowledged

    @rule(pieces=PIECES)
    def broken_off_with_checksum(self, pieces: list[bytes]) -> None:
        before = self.acknowledged
        reception = self.open(Checksum("md5", b"0" * 16))
        self.take(reception, fitting(pieces, LENGTH - before))
        reception.close()
        assert self.acknowledged == before

    @precondition(lambda self: self.acknowledged < LENGTH)
    @rule(pieces=PIECES)
    def too_long(self, pieces: list[bytes]) -> None:
        reception = self.open()
        self.take(reception, [*pieces, b"x" * LENGTH])
        reception.close()

    @rule(pieces=PIECES)
    def killed(self, pieces: list[bytes]) -> None:
        self.take(self.open(), fitting(pieces, LENGTH - self.acknowledged))
        os.close(self.file._file)
        assert len(self.sent) - self.acknowledged < PIECE + 6
        self.digests = RunningDigests()

    @rule(pieces=PIECES, when=st.sampled_from(["before", "after"]))
    def ledger_away(self, pieces: list[bytes], when: str) -> None:
        before, self.fails = self.acknowledged, when
        reception = self.open()
        try:
            self.take(reception, fitting(pieces, LENGTH - before))
            reception.finish()
        except LedgerAwayError:
            assert (self.acknowledged > before) == (when == "after")
        finally:
            reception.close()
            self.fails = None

    @rule()
    def disk_full(self) -> None:
        before = self.acknowledged
        reception = self.open(reserve_bytes=1 << 60)
        if before < LENGTH:
            with pytest.raises(DiskFullError):
                reception.take(b"x")
        reception.close()
        assert self.acknowledged == before

    @invariant()
    def what_is_acknowledged_is_there(self) -> None:
        path = self.folder / NAME
        kept = path.read_bytes() if path.exists() else b""
        assert kept[: self.acknowledged] == self.sent[: self.acknowledged]
        if self.acknowledged and self.told is not None:
            assert self.told == hashlib.sha256(self.sent[: self.acknowledged]).hexdigest()


def fitting(pieces: list[bytes], room: int) -> list[bytes]:
    """As many bytes of the pieces as there is room for."""
    found: list[bytes] = []
    for piece in pieces:
        part = piece[: room - sum(map(len, found))]
        found += [part] if part else []
    return found


TestUploadMachine = UploadMachine.TestCase
TestUploadMachine.settings = settings(
    max_examples=40, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def reception(folder: Path, offset: int = 0, digests: RunningDigests | None = None, length: int = LENGTH):
    told: list[tuple[int, str | None]] = []
    terms = Terms(NAME, folder, length, 0, None, PIECE)
    made = Reception(
        UploadFile(folder, NAME), terms, offset, digests or RunningDigests(), lambda at, sha: told.append((at, sha))
    )
    return made, told


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path) -> None:
    first = UploadFile(tmp_path, NAME)
    with pytest.raises(UploadLockedError):
        UploadFile(tmp_path, NAME)
    first.close()
    UploadFile(tmp_path, NAME).close()


def test_acknowledged_bytes_that_are_not_there_are_an_integrity_error(tmp_path) -> None:
    (tmp_path / NAME).write_bytes(b"abc")
    file = UploadFile(tmp_path, NAME)
    with pytest.raises(IntegrityError, match="4 bytes of the upload were acknowledged and 3 are there"):
        file.cut(4)
    file.close()
    assert (tmp_path / NAME).read_bytes() == b"abc"


def test_a_piece_is_acknowledged_as_soon_as_it_is_full(tmp_path) -> None:
    made, told = reception(tmp_path)
    made.take(b"1234567")
    assert told == []
    made.take(b"89")
    assert told == [(9, hashlib.sha256(b"123456789").hexdigest())]
    made.close()
    assert len(told) == 1


def test_the_digest_goes_on_over_requests_of_one_process_and_is_unknown_in_another(tmp_path) -> None:
    digests = RunningDigests()
    for part, known in ((b"one", digests), (b"two", digests), (b"three", RunningDigests())):
        made, told = reception(tmp_path, (tmp_path / NAME).stat().st_size if (tmp_path / NAME).exists() else 0, known)
        made.take(part)
        made.finish()
        made.close()
        whole = (tmp_path / NAME).read_bytes()
        expected = hashlib.sha256(whole).hexdigest() if known is digests else None
        assert told == [(len(whole), expected)]


def test_only_so_many_digests_are_kept_and_one_of_another_offset_is_none() -> None:
    digests = RunningDigests(most=1)
    for name in ("a", "b"):
        digests.keep(name, 3, hashlib.sha256(name.encode()))
    assert digests.take("a", 3) is None
    assert digests.take("b", 2) is None
    digests.keep("b", 3, hashlib.sha256(b"b"))
    found = digests.take("b", 3)
    assert found is not None
    assert found.digest() == hashlib.sha256(b"b").digest()
    assert digests.take("b", 3) is None


def test_a_file_that_the_disk_refuses_is_told_as_a_full_disk(tmp_path) -> None:
    file = UploadFile(tmp_path, NAME)
    os.close(file._file)
    file._file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(DiskFullError):
        file.append(b"x")
    file.close()
