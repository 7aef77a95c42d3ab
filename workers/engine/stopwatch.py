"""Seconds per stage, counted from several threads."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Sums of seconds by stage name; stages that run side by side may sum to more than the wall clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block towards a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds towards a stage."""
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def seconds(self) -> dict[str, float]:
        """Seconds so far by stage, in the order the stages were first seen."""
        with self._lock:
            return dict(self._seconds)

    def rounded(self) -> dict[str, float]:
        """As `seconds`, to the millisecond."""
        return {name: round(value, 3) for name, value in self.seconds().items()}
