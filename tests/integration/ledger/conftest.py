"""Every test of the ledger runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.servers import Server, new_database, postgres_server
from workers.ledger import Ledger, migrate, open_ledger


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return new_database(request.getfixturevalue("postgres"), f"t{uuid4().hex}")


@pytest.fixture
def ledger(ledger_url) -> Iterator[Ledger]:
    migrate(ledger_url)
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()
