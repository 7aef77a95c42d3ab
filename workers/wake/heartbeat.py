"""The heartbeat of an attempt: it renews the lease, carries the progress, and says when to stop."""

import threading
import time
from types import TracebackType
from typing import Literal, Self

import structlog

from workers.contract.errors import LeaseLostError, LedgerAwayError, TimedOutError
from workers.engine.progress import Event
from workers.engine.stopwatch import Stopwatch
from workers.ledger.leases import Attempt, Progress, renew
from workers.wake.place import Place

Reason = Literal["lease-lost", "timed-out", "shutdown"]


class Heartbeat:
    """A thread that keeps an attempt alive while the block runs.

    `stop` is set when the job is over, when somebody else owns it, when it takes too long, or when the worker is asked
    to leave; `reason` says which. While the database is away the work goes on: nobody can take it either.
    """

    def __init__(self, place: Place, attempt: Attempt, watch: Stopwatch, stop: threading.Event) -> None:
        self._place = place
        self._attempt = attempt
        self._watch = watch
        self._until = time.monotonic() + place.settings.job_timeout_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._stage, self._tiles, self._committed = "starting", 0, 0
        self.stop = stop
        self.reason: Reason | None = None

    def __enter__(self) -> Self:
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Stop beating."""
        self._over.set()
        self._thread.join()

    def report(self, event: Event) -> None:
        """Take what the engine says of its progress."""
        self._stage = event.stage
        if event.stage == "tiles":
            self._tiles = event.done

    def committed(self, tiles: int) -> None:
        """Tiles that the ledger knows of."""
        self._committed += tiles

    def check(self) -> None:
        """Raise where the attempt must not go on.

        Raises
        ------
        TimedOutError, LeaseLostError
            By the reason for which `stop` was set; a worker that is asked to leave raises neither.
        """
        if self.reason == "timed-out":
            limit = self._place.settings.job_timeout_s
            raise TimedOutError(
                f"A worker was at the job for more than {limit:g} s.", "Raise HISTOSERVE_JOB_TIMEOUT_S."
            )
        if self.reason == "lease-lost":
            raise LeaseLostError(f"The job {self._attempt.job_id} is over, or others have it.")

    def _run(self) -> None:
        while not self._over.wait(self._place.settings.heartbeat_s):
            if time.monotonic() > self._until:
                self._end("timed-out")
            elif not self._renew():
                self._end("lease-lost")

    def _end(self, reason: Reason) -> None:
        self.reason = self.reason or reason
        self.stop.set()

    def _renew(self) -> bool:
        progress = Progress(self._stage, max(0, self._tiles - self._committed), self._watch.rounded())
        try:
            with self._place.ledger.write() as connection:
                return renew(connection, self._attempt, self._place.settings.lease_s, progress)
        except LedgerAwayError:
            structlog.get_logger().warning("ledger away", job=self._attempt.job_id)
            return True
