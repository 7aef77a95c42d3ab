"""Decoded tiles, kept least-recently-used within a bound of bytes; each is decoded by one thread only."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock

from workers.slides.slide import RGB


class TileCache:
    """Decoded tiles by key. Safe for many threads: who asks for a tile that is being decoded waits for it.

    The bound holds apart from the newest tile, which is kept however large it is. Read in the order of the plan (shards
    of some thousand px, row by row), the bound of 64 MiB holds all of the current shard and the seam to the one
    beside it, so that a tile is decoded again only where the next row of shards needs its halo.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._tiles: OrderedDict[Hashable, RGB] = OrderedDict()
        self._pending: dict[Hashable, Future[RGB]] = {}
        self._lock = Lock()
        self.decoded = 0
        """How many tiles were decoded so far."""

    def get(self, key: Hashable, decode: Callable[[], RGB]) -> RGB:
        """The tile of `key`, decoded by this call or by another. It is shared: do not write to it.

        Raises whatever `decode` raised, in every thread that waited for it.
        """
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
                return tile
            pending = self._pending.get(key)
            mine = pending is None
            if pending is None:
                pending = self._pending[key] = Future()
        if mine:
            self._fill(key, decode, pending)
        return pending.result()

    def _fill(self, key: Hashable, decode: Callable[[], RGB], pending: "Future[RGB]") -> None:
        try:
            tile = decode()
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            pending.set_exception(error)
            return
        with self._lock:
            del self._pending[key]
            self.decoded += 1
            self._tiles[key] = tile
            self._held_bytes += tile.nbytes
            while self._held_bytes > self._limit_bytes and len(self._tiles) > 1:
                self._held_bytes -= self._tiles.popitem(last=False)[1].nbytes
        pending.set_result(tile)

    def clear(self) -> None:
        """Forget all tiles."""
        with self._lock:
            self._tiles.clear()
            self._held_bytes = 0
