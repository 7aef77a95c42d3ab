import hashlib
from itertools import pairwise

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.outputs.samples import make_frame, make_spec, random_values, store
from workers.geometry import Box
from workers.outputs.maps import MapSpec, chunk_side, create_maps, present_shards, read_box, write_shard

KINDS = ["classes", "heat", "image", "probabilities"]


@pytest.mark.parametrize("kind", KINDS)
def test_zarr_python_reads_what_we_write(tmp_path, kind):
    spec = make_spec(21, 13, kind)
    values = random_values(spec, sparse=True)
    store(tmp_path, spec, values)
    array = zarr.open_array(tmp_path / spec.folder_name / "0", mode="r")
    assert array.shards == spec.shape(8, 8) and array.chunks == spec.shape(4, 4)
    np.testing.assert_array_equal(array[...], values)


@pytest.mark.parametrize("kind", KINDS)
def test_we_read_what_zarr_python_writes(tmp_path, kind):
    spec = make_spec(21, 13, kind)
    values = random_values(spec)
    create_maps(tmp_path, [spec], make_frame(21, 13))
    zarr.open_array(tmp_path / spec.folder_name / "0", mode="r+")[...] = values
    np.testing.assert_array_equal(read_box(tmp_path, spec, Box(0, 0, 21, 13)), values)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    spec = make_spec(37, 22, "image")
    values = random_values(spec, sparse=True)
    return folder, store(folder, spec, values), values


@given(x=st.integers(-10, 45), y=st.integers(-10, 30), width=st.integers(0, 60), height=st.integers(0, 50))
def test_any_box_is_a_crop_of_the_map_with_fill_around_it(stored, x, y, width, height):
    folder, spec, values = stored
    padded = np.full((3, 200, 200), 255, dtype=np.uint8)
    padded[:, 50:72, 50:87] = values
    box = read_box(folder, spec, Box(x, y, width, height))
    np.testing.assert_array_equal(box, padded[:, 50 + y : 50 + y + height, 50 + x : 50 + x + width])


def test_a_record_names_the_file_and_its_digest(tmp_path):
    spec = make_spec(16, 16)
    create_maps(tmp_path, [spec], make_frame(16, 16))
    record = write_shard(tmp_path, spec, 1, 0, np.ones((8, 8), dtype=np.uint8))
    assert record is not None and record.path == "classes.ome.zarr/0/c/0/1"
    data = (tmp_path / record.path).read_bytes()
    assert record.sha256 == hashlib.sha256(data).hexdigest() and record.size_bytes == len(data)
    again = write_shard(tmp_path, spec, 1, 0, np.ones((8, 8), dtype=np.uint8))
    assert again == record
    assert {p.name for p in (tmp_path / record.path).parent.iterdir()} == {"1"}


def test_a_blank_shard_has_no_file_even_where_there_was_one(tmp_path):
    spec = make_spec(16, 16)
    create_maps(tmp_path, [spec], make_frame(16, 16))
    write_shard(tmp_path, spec, 0, 1, np.ones((8, 8), dtype=np.uint8))
    assert present_shards(tmp_path, spec) == ((0, 1),)
    assert write_shard(tmp_path, spec, 0, 1, np.full((8, 8), 255, dtype=np.uint8)) is None
    assert present_shards(tmp_path, spec) == ()


def test_what_reaches_behind_the_map_is_dropped(tmp_path):
    spec = make_spec(10, 10)
    create_maps(tmp_path, [spec], make_frame(10, 10))
    whole = write_shard(tmp_path, spec, 1, 1, np.ones((8, 8), dtype=np.uint8))
    cut = write_shard(tmp_path, spec, 1, 1, np.ones((2, 2), dtype=np.uint8))
    assert whole == cut
    assert read_box(tmp_path, spec, Box(8, 8, 4, 4)).tolist() == [
        [1, 1, 255, 255],
        [1, 1, 255, 255],
        [255] * 4,
        [255] * 4,
    ]


@pytest.mark.parametrize(
    ("shard", "array"),
    [
        ((0, 0), np.ones((8, 7), dtype=np.uint8)),
        ((0, 0), np.ones((9, 8), dtype=np.uint8)),
        ((0, 0), np.ones((8, 8), dtype=np.float32)),
        ((0, 0), np.ones((3, 8, 8), dtype=np.uint8)),
        ((2, 0), np.ones((8, 8), dtype=np.uint8)),
        ((0, -1), np.ones((8, 8), dtype=np.uint8)),
    ],
)
def test_a_wrong_array_is_refused(tmp_path, shard, array):
    with pytest.raises(ValueError, match="map classes"):
        write_shard(tmp_path, make_spec(16, 16), *shard, array)


def test_creating_twice_changes_nothing(tmp_path):
    spec = make_spec(40, 40)
    first = create_maps(tmp_path, [spec], make_frame(40, 40))
    times = [path.stat().st_mtime_ns for path in first]
    assert create_maps(tmp_path, [spec], make_frame(40, 40)) == first
    assert [path.stat().st_mtime_ns for path in first] == times


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_levels_halve_until_they_are_small(width, height):
    spec = MapSpec("m", "heat", 1, 1, width, height, 2048, 512, 0)
    sizes = [spec.level_size(k) for k in range(spec.levels)]
    assert max(sizes[-1]) <= 512 and all(max(size) > 512 for size in sizes[:-1])
    for (w, h), (next_w, next_h) in pairwise(sizes):
        assert (next_w, next_h) == ((w + 1) // 2, (h + 1) // 2)


@pytest.mark.parametrize(("shard", "side"), [(2048, 512), (64, 64), (2079, 297), (521, 1), (96, 96)])
def test_chunks_divide_the_shard(shard, side):
    assert chunk_side(shard) == side


def test_a_chunk_that_does_not_divide_the_shard_is_refused():
    with pytest.raises(ValueError, match="does not divide"):
        make_spec(10, 10, shard=8, chunk=3)


def test_a_class_map_with_channels_is_refused():
    with pytest.raises(ValueError, match="one channel"):
        make_spec(10, 10, channels=2)
