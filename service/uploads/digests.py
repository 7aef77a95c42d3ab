"""SHA-256 of uploads on the way: kept while their bytes come in order through this process."""

import hashlib
import threading
from collections import OrderedDict

MOST = 10_000
"""Uploads whose hash is remembered between two requests; what is forgotten is hashed by the worker."""


class RunningDigests:
    """The hash of what is acknowledged of each upload; one that does not fit the offset is of no use and dropped."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[int, hashlib._Hash]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, upload_id: str, offset: int) -> "hashlib._Hash | None":
        """The hash of the first `offset` bytes, None where it is not known."""
        with self._lock:
            at, digest = self._known.pop(upload_id, (0, None))
        if digest is not None and at == offset:
            return digest
        return hashlib.sha256() if offset == 0 else None

    def keep(self, upload_id: str, offset: int, digest: "hashlib._Hash") -> None:
        """Remember it for the request that follows."""
        with self._lock:
            self._known[upload_id] = (offset, digest)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
