"""Decoded tiles within a bound of bytes; each is decoded by one thread only, and once per pass over a slide."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock

from workers.slides.slide import RGB


class TileCache:
    """Decoded tiles by key. Safe for many threads: who asks for a tile that is being decoded waits for it.

    A pass reads shard after shard, and the halo of the next row of shards reaches back into tiles of this one; least
    recently used, they would be gone by then. So a reader says of each tile whether the next row will want it again:
    tiles that are done with leave first, the oldest of them first, as long as the others take no more than two thirds
    (on a slide too wide for that, the seam is decoded twice). The bound holds apart from the newest tile, which is
    kept however large it is.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._wanted_bytes = 0
        self._done: OrderedDict[Hashable, RGB] = OrderedDict()
        self._wanted: OrderedDict[Hashable, RGB] = OrderedDict()
        self._pending: dict[Hashable, Future[RGB]] = {}
        self._lock = Lock()
        self.held_bytes = 0
        """What the kept tiles take."""
        self.decoded = 0
        """How many tiles were decoded so far."""

    def get(self, key: Hashable, decode: Callable[[], RGB], wanted_again: bool = False) -> RGB:
        """The tile of `key`, decoded by this call or by another. It is shared: do not write to it.

        Raises whatever `decode` raised, in every thread that waited for it.
        """
        with self._lock:
            tile = self._take(key)
            if tile is not None:
                self._put(key, tile, wanted_again)
                return tile
            pending = self._pending.get(key)
            mine = pending is None
            if pending is None:
                pending = self._pending[key] = Future()
        if mine:
            self._fill(key, decode, wanted_again, pending)
        return pending.result()

    def _fill(self, key: Hashable, decode: Callable[[], RGB], wanted_again: bool, pending: "Future[RGB]") -> None:
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
            self._put(key, tile, wanted_again)
            while self.held_bytes > self._limit_bytes and len(self._done) + len(self._wanted) > 1:
                crowded = self._wanted_bytes > self._limit_bytes * 2 // 3 or not self._done
                self._take(next(iter(self._wanted if crowded else self._done)))
        pending.set_result(tile)

    def _take(self, key: Hashable) -> RGB | None:
        tile = self._done.pop(key, None)
        if tile is None:
            tile = self._wanted.pop(key, None)
            if tile is None:
                return None
            self._wanted_bytes -= tile.nbytes
        self.held_bytes -= tile.nbytes
        return tile

    def _put(self, key: Hashable, tile: RGB, wanted_again: bool) -> None:
        (self._wanted if wanted_again else self._done)[key] = tile
        self.held_bytes += tile.nbytes
        self._wanted_bytes += tile.nbytes if wanted_again else 0

    def clear(self) -> None:
        """Forget all tiles."""
        with self._lock:
            self._done.clear()
            self._wanted.clear()
            self.held_bytes = self._wanted_bytes = 0
