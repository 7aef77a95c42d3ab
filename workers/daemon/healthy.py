"""Whether this machine's worker is at its place: `python -m workers.daemon.healthy`, the health check of its image."""

import socket
import sys

from models.errors import HistoserveError
from workers.contract.settings import Settings
from workers.ledger import open_ledger
from workers.ledger.seats import list_seats

MISSED = 6
SHORTEST_S = 30.0


def is_seated(settings: Settings, host: str) -> bool:
    """True where a worker of that host told the ledger lately that it is there.

    Raises
    ------
    HistoserveError
        The ledger cannot be asked.
    """
    ledger = open_ledger(settings.database)
    try:
        with ledger.read() as connection:
            seats = list_seats(connection, max(SHORTEST_S, MISSED * settings.reconcile_s))
    finally:
        ledger.close()
    return any(seat.host == host for seat in seats)


def main() -> None:
    """Exit with 0 where the worker is there, with 1 and the reason where it is not."""
    try:
        healthy = is_seated(Settings(), socket.gethostname())
    except HistoserveError as error:
        sys.exit(error.detail)
    sys.exit(0 if healthy else "No worker of this machine was seen lately.")


if __name__ == "__main__":
    main()
