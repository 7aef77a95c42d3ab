from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.unit.outputs.samples import make_frame, make_spec, random_values, store
from workers.geometry import Box
from workers.outputs import spec as spec_module
from workers.outputs.maps import create_maps, present_shards, read_box, write_shard
from workers.outputs.pyramid import build_pyramid, halve

arrays = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.integers(0, 4)
)


def _slow(values, is_classes):
    height, width = values.shape
    out = np.zeros((-(-height // 2), -(-width // 2)), dtype=np.uint8)
    for y, x in np.ndindex(*out.shape):
        four = [int(values[min(2 * y + j, height - 1), min(2 * x + i, width - 1)]) for j in (0, 1) for i in (0, 1)]
        out[y, x] = Counter(four).most_common(1)[0][0] if is_classes else (sum(four) + 2) // 4
    return out


@given(arrays, st.booleans())
def test_halving_is_the_rule_applied_pixel_by_pixel(values, is_classes):
    before = values.copy()
    np.testing.assert_array_equal(halve(values, is_classes), _slow(values, is_classes))
    np.testing.assert_array_equal(values, before)


def test_means_round_half_up_and_do_not_overflow():
    assert halve(np.array([[255, 255], [255, 253]], dtype=np.uint8), False).tolist() == [[255]]
    assert halve(np.array([[0, 1], [1, 0]], dtype=np.uint8), False).tolist() == [[1]]


def test_of_two_equally_frequent_classes_the_first_one_stays():
    assert halve(np.array([[2, 1], [1, 2]], dtype=np.uint8), True).tolist() == [[2]]
    assert halve(np.array([[2, 1], [1, 0]], dtype=np.uint8), True).tolist() == [[1]]


@pytest.fixture
def _small_pyramids(monkeypatch):
    monkeypatch.setattr(spec_module, "COARSEST_PX", 4)


@pytest.mark.usefixtures("_small_pyramids")
@pytest.mark.parametrize("kind", ["classes", "image", "heat"])
@pytest.mark.parametrize(("shard", "chunk"), [(8, 4), (9, 3), (16, 16)])
def test_a_pyramid_is_the_whole_map_halved_again_and_again(tmp_path, kind, shard, chunk):
    spec = make_spec(33, 19, kind, shard=shard, chunk=chunk)
    values = random_values(spec)
    store(tmp_path, spec, values)
    build_pyramid(tmp_path, spec)
    for level in range(1, spec.levels):
        values = halve(values, kind == "classes")
        found = read_box(tmp_path, spec, Box(0, 0, *spec.level_size(level)), level)
        np.testing.assert_array_equal(found, values)
    assert spec.levels == 5 and max(values.shape[-2:]) <= 4


@pytest.mark.usefixtures("_small_pyramids")
def test_only_shards_over_something_are_made(tmp_path):
    spec = make_spec(64, 64)
    create_maps(tmp_path, [spec], make_frame(64, 64))
    write_shard(tmp_path, spec, 5, 6, np.ones((8, 8), dtype=np.uint8))
    records = build_pyramid(tmp_path, spec)
    assert [present_shards(tmp_path, spec, k) for k in (1, 2, 3)] == [((2, 3),), ((1, 1),), ((0, 0),)]
    # At level 4 the one pixel that is left is outvoted by what was not analysed.
    assert present_shards(tmp_path, spec, 4) == ()
    assert [r.path for r in records] == [f"classes.ome.zarr/{k}" for k in ("1/c/3/2", "2/c/1/1", "3/c/0/0")]


@pytest.mark.usefixtures("_small_pyramids")
def test_building_twice_gives_the_same_bytes(tmp_path):
    spec = make_spec(40, 24, "image")
    store(tmp_path, spec, random_values(spec, sparse=True))
    assert build_pyramid(tmp_path, spec) == build_pyramid(tmp_path, spec)


@pytest.mark.usefixtures("_small_pyramids")
def test_building_can_be_stopped(tmp_path):
    spec = store(tmp_path, make_spec(40, 24), random_values(make_spec(40, 24)))

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        build_pyramid(tmp_path, spec, stop)
