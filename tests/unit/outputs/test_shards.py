import numpy as np
import pytest

from models.errors import IntegrityError
from workers.geometry import Box
from workers.outputs.shards import encode_shard, read_chunks


def _values(shape):
    return np.random.default_rng(1).integers(0, 5, shape).astype(np.uint8)


def _read(path, shape, box, shard=8):
    return {(place.x, place.y): values for place, values in read_chunks(path, shape, shard, box)}


@pytest.mark.parametrize("lead", [(), (3,)])
def test_chunks_come_back(tmp_path, lead):
    array = _values((*lead, 8, 8))
    path = tmp_path / "a" / "b" / "c" / "d" / "shard"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_shard(array, 8, 4, 255))
    chunks = _read(path, (*lead, 4, 4), Box(0, 0, 8, 8))
    assert set(chunks) == {(0, 0), (4, 0), (0, 4), (4, 4)}
    for (x, y), values in chunks.items():
        np.testing.assert_array_equal(values, array[..., y : y + 4, x : x + 4])


def test_only_chunks_that_meet_the_box_are_read(tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(encode_shard(_values((8, 8)), 8, 4, 255))
    assert set(_read(path, (4, 4), Box(5, 0, 2, 4))) == {(4, 0)}


def test_blank_chunks_are_absent_and_a_blank_shard_is_empty(tmp_path):
    array = np.full((8, 8), 255, dtype=np.uint8)
    assert encode_shard(array, 8, 4, 255) == b""
    array[6, 6] = 1
    path = tmp_path / "shard"
    path.write_bytes(encode_shard(array, 8, 4, 255))
    assert set(_read(path, (4, 4), Box(0, 0, 8, 8))) == {(4, 4)}


def test_a_cut_array_is_filled_up(tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(encode_shard(np.zeros((3, 6), dtype=np.uint8), 8, 4, 255))
    chunks = _read(path, (4, 4), Box(0, 0, 8, 8))
    assert set(chunks) == {(0, 0), (4, 0)}
    np.testing.assert_array_equal(chunks[4, 0][:3], [[0, 0, 255, 255]] * 3)
    np.testing.assert_array_equal(chunks[4, 0][3], 255)


def test_a_missing_file_holds_nothing(tmp_path):
    assert _read(tmp_path / "none", (4, 4), Box(0, 0, 8, 8)) == {}


def test_equal_arrays_give_equal_bytes_whatever_their_layout():
    array = _values((8, 8))
    assert encode_shard(array, 8, 4, 0) == encode_shard(np.asfortranarray(array), 8, 4, 0)


@pytest.mark.parametrize("damage", ["cut", "index", "chunk", "empty"])
def test_damage_is_noticed(tmp_path, damage):
    data = bytearray(encode_shard(_values((8, 8)), 8, 4, 255))
    if damage == "cut":
        data = data[:-3]
    elif damage == "index":
        data[-20] ^= 1
    elif damage == "chunk":
        data[0] ^= 0xFF
    else:
        data = bytearray()
    path = tmp_path / "map.ome.zarr" / "0" / "c" / "0" / "0"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(IntegrityError):
        _read(path, (4, 4), Box(0, 0, 8, 8))
