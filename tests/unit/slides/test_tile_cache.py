import threading
import time

import numpy as np
import pytest

from workers.geometry import Box
from workers.slides.tile_cache import TileCache
from workers.slides.tiled_level import TiledLevel, TileGrid

TILE_BYTES = 4 * 4 * 3


def tile(value: int = 0) -> np.ndarray:
    return np.full((4, 4, 3), value, np.uint8)


def test_a_tile_is_decoded_once_while_it_is_held():
    cache, calls = TileCache(10 * TILE_BYTES), []
    for _ in range(3):
        assert cache.get("a", lambda: (calls.append(1), tile(7))[1])[0, 0, 0] == 7
    assert len(calls) == cache.decoded == 1


def test_the_oldest_tile_leaves_first_and_the_bound_holds():
    cache = TileCache(2 * TILE_BYTES)
    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, tile)
        assert cache.held_bytes <= 2 * TILE_BYTES
    assert cache.decoded == 4  # a, b, c, and b again: a was used between


def test_a_tile_wanted_again_outlives_those_done_with():
    cache = TileCache(3 * TILE_BYTES)
    cache.get("seam", tile, wanted_again=True)
    for key in range(20):
        cache.get(key, tile)
    before = cache.decoded
    cache.get("seam", tile)
    assert cache.decoded == before


def test_tiles_wanted_again_cannot_crowd_out_all_others():
    cache = TileCache(6 * TILE_BYTES)
    for key in range(20):
        cache.get(key, tile, wanted_again=True)
    cache.get("x", tile)
    cache.get("y", tile)
    before = cache.decoded
    cache.get("x", tile)
    assert cache.decoded == before
    assert cache.held_bytes <= 6 * TILE_BYTES


def test_a_tile_larger_than_the_bound_is_kept_alone():
    cache = TileCache(1)
    cache.get("small", tile)
    cache.get("large", lambda: np.zeros((99, 99, 3), np.uint8))
    before = cache.decoded
    cache.get("large", tile)
    assert cache.decoded == before
    assert cache.held_bytes == 99 * 99 * 3


def test_many_threads_that_ask_for_one_tile_decode_it_once():
    cache, calls, together = TileCache(100 * TILE_BYTES), [], threading.Barrier(8)

    def decode() -> np.ndarray:
        calls.append(1)
        time.sleep(0.02)
        return tile(9)

    def ask() -> None:
        together.wait()
        seen.append(cache.get("a", decode)[0, 0, 0])

    seen: list[int] = []
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [9] * 8
    assert len(calls) == 1


def test_a_failure_reaches_everyone_who_waited_and_is_not_remembered():
    cache, together, seen = TileCache(TILE_BYTES), threading.Barrier(4), []

    def decode() -> np.ndarray:
        time.sleep(0.05)
        raise ValueError("corrupt")

    def ask() -> None:
        together.wait()
        try:
            cache.get("a", decode)
        except ValueError as error:
            seen.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["corrupt"] * 4
    assert cache.get("a", lambda: tile(3))[0, 0, 0] == 3


def test_cleared_means_empty():
    cache = TileCache(9 * TILE_BYTES)
    cache.get("a", tile, wanted_again=True)
    cache.get("b", tile)
    cache.clear()
    assert cache.held_bytes == 0


@pytest.mark.parametrize("halo_px", [32, 100])
def test_a_pass_in_the_plans_order_decodes_every_tile_once(halo_px: int):
    """Shards of 2048 px, tiles of 512 px row by row; tiles are stood in for by one pixel each of their true size."""
    decoded: list[int] = []
    weight = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (256, 256, 3), (0, 0, 0))

    def decode(number: int) -> np.ndarray:
        decoded.append(number)
        return weight

    level = TiledLevel(0, TileGrid(Box(0, 0, 20_480, 6144), 256, 256), decode, TileCache(96 << 20))
    for shard_y in range(0, 6144, 2048):
        for shard_x in range(0, 20_480, 2048):
            for y in range(shard_y, shard_y + 2048, 512):
                for x in range(shard_x, shard_x + 2048, 512):
                    for number, _, wanted_again in level.tiles_of(Box(x, y, 512, 512).grow(halo_px)):
                        level.tile(number, wanted_again)
    assert sorted(decoded) == list(range(80 * 24))
