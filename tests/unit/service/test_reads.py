"""The audit of reads: on the disk before the reader goes on, many in one commit, failures told to all who wait."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from service.reads import ReadAudit
from workers.ledger import Ledger, open_ledger
from workers.ledger.audit import Entry, find_break, list_entries
from workers.ledger.schema import audit_head, metadata


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with opened.write() as connection:
        metadata.create_all(connection)
        connection.execute(sa.insert(audit_head).values(id=1, seq=0, digest="0" * 64))
    yield opened
    opened.close()


def entry(number: int) -> Entry:
    return Entry("lab", "key_x", "result.read", f"job_{number}", 200, {"name": "cells.csv"})


def test_an_entry_is_there_when_add_returns(ledger):
    reads = ReadAudit(ledger)
    reads.add(entry(1))
    with ledger.read() as connection:
        assert [row.subject for row in list_entries(connection)] == ["job_1"]
    reads.close()


def test_entries_of_many_threads_are_all_there_once_and_in_one_chain(ledger):
    reads = ReadAudit(ledger)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: reads.add(entry(number)), range(200)))
    reads.close()
    with ledger.read() as connection:
        rows = list_entries(connection, limit=1000)
        assert sorted(row.subject for row in rows) == sorted(f"job_{number}" for number in range(200))
        assert find_break(connection) is None
        assert len({row.at for row in rows}) < 200, "many share a commit"


def test_who_waits_is_told_that_it_could_not_be_written_and_the_next_can_be(ledger):
    reads = ReadAudit(ledger)
    with pytest.raises(TypeError):
        reads.add(Entry("lab", None, "result.read", "job_1", 200, {"name": object()}))
    reads.add(entry(2))
    reads.close()
    with ledger.read() as connection:
        assert [row.subject for row in list_entries(connection)] == ["job_2"]


def test_closing_twice_and_reading_again_is_fine(ledger):
    reads = ReadAudit(ledger)
    reads.close()
    reads.add(entry(1))
    reads.close()
    reads.close()
