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
        self._processor_seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block towards a stage."""
        start, processor = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start, time.process_time() - processor)

    def add(self, name: str, seconds: float, processor_seconds: float = 0.0) -> None:
        """Count seconds towards a stage."""
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds
            self._processor_seconds[name] = self._processor_seconds.get(name, 0.0) + processor_seconds

    def seconds(self) -> dict[str, float]:
        """Seconds so far by stage, in the order the stages were first seen."""
        with self._lock:
            return dict(self._seconds)

    def processor_seconds(self) -> dict[str, float]:
        """As `seconds`, of the whole process: true for stages that nothing runs beside."""
        with self._lock:
            return dict(self._processor_seconds)

    def rounded(self) -> dict[str, float]:
        """As `seconds`, to the millisecond."""
        return {name: round(value, 3) for name, value in self.seconds().items()}
