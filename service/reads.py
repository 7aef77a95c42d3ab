"""The audit of what was read: written before the answer goes out, many readers' rows in one commit."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from workers.ledger import Ledger
from workers.ledger.audit import Entry, add_entries

MOST_AT_ONCE = 500


class ReadAudit:
    """Takes entries from many threads and commits them together; one thread writes.

    A commit takes as long as the disk needs; whoever comes meanwhile shares the next one. So reads are audited before
    they are answered, and a thousand readers cost a few commits.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue: SimpleQueue[tuple[Entry, Future[None]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Return when the entry is on the disk. Raises what the ledger raises."""
        self.submit(entry).result()

    def submit(self, entry: Entry) -> "Future[None]":
        """What is done when the entry is on the disk; who does not wait for it any more changes nothing."""
        self._start()
        done: Future[None] = Future()
        self._queue.put((entry, done))
        return done

    def close(self) -> None:
        """Write what is waiting and end."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="read-audit", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            waiting, ends = [first], False
            while not self._queue.empty() and len(waiting) < MOST_AT_ONCE:
                item = self._queue.get()
                if item is None:
                    ends = True
                    break
                waiting.append(item)
            self._commit(waiting)
            if ends:
                return

    def _commit(self, waiting: Sequence[tuple[Entry, "Future[None]"]]) -> None:
        entries = [entry for entry, _ in waiting]
        # From here on they cannot be cancelled under our hands.
        listening = [done for _, done in waiting if done.set_running_or_notify_cancel()]
        try:
            with self._ledger.write() as connection:
                add_entries(connection, entries)
        except Exception as error:  # the thread hands its failure to those who wait
            for done in listening:
                done.set_exception(error)
        else:
            for done in listening:
                done.set_result(None)
