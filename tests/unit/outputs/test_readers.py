import numpy as np

from tests.unit.outputs.samples import make_frame, make_spec, random_values, store
from workers.geometry import Box
from workers.measures.areas import measure_areas
from workers.measures.cells import CellRule, stream_cells
from workers.outputs.maps import create_maps, write_shard
from workers.outputs.readers import Source, cells_reader, heat_reader, stored_values


def test_cells_are_read_from_stored_maps(tmp_path):
    classes, heat = make_spec(40, 30), make_spec(40, 30, "probabilities")
    values = np.zeros((30, 40), dtype=np.uint8)
    values[6:12, 5:11] = 1
    values[6:12, 11:13] = 2
    probabilities = np.zeros((3, 30, 40), dtype=np.uint8)
    probabilities[1, 6:12, 5:11] = 204
    store(tmp_path, classes, values)
    store(tmp_path, heat, probabilities)
    read = cells_reader(tmp_path, Source(classes), 1, heat=Source(heat, 1), votes=Source(classes))
    rule = CellRule(0.5, 0, 1e9, vote_classes=3, has_heat=True)
    (cell,) = stream_cells(read, 40, 30, rule, block_px=8)
    assert cell.box == Box(5, 6, 6, 6) and cell.probability == 0.8 and cell.vote == 1


def test_where_nothing_is_stored_nothing_is_read(tmp_path):
    classes, heat = make_spec(64, 64), make_spec(64, 64, "heat")
    create_maps(tmp_path, [classes, heat], make_frame(64, 64))
    write_shard(tmp_path, classes, 1, 1, np.ones((8, 8), dtype=np.uint8))
    write_shard(tmp_path, heat, 1, 1, np.ones((8, 8), dtype=np.uint8))
    for read in (cells_reader(tmp_path, Source(classes), 1), heat_reader(tmp_path, Source(heat))):
        assert read(Box(0, 0, 8, 8)) is None and read(Box(16, 8, 9, 9)) is None
        block = read(Box(0, 0, 9, 9))
        assert block is not None and block.interior.sum() == 1
    assert cells_reader(tmp_path, Source(classes), 2)(Box(8, 8, 8, 8)) is None


def test_stored_values_are_all_there_once(tmp_path):
    spec = make_spec(21, 13)
    values = random_values(spec, sparse=True)
    store(tmp_path, spec, values)
    expected = [float((values == k).sum()) * 1e-6 for k in range(3)]
    np.testing.assert_allclose(measure_areas(stored_values(tmp_path, Source(spec)), 3, 1.0), expected)
