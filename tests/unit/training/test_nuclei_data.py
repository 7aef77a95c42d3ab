"""Scale, groups and folds of the training images."""

import numpy as np
import pytest
from PIL import Image

from tests.unit.training.recipe import disc_sample, small_config, write_tiny_data
from training.nuclei.data import assign_folds, group_samples, load_prepared, prepare
from training.nuclei.sources import dsb_scale, read_sources, shrink

CONFIG = small_config()


def squares(side, count=4, size=128):
    instances = np.zeros((size, size), np.int32)
    for i in range(count):
        instances[4 : 4 + side, 2 + i * (side + 2) : 2 + i * (side + 2) + side] = i + 1
    return instances


@pytest.mark.parametrize(("side", "scale"), [(14, 1.0), (20, 0.7071), (29, 0.5)])
def test_dsb_images_are_shrunk_by_the_width_of_their_nuclei(side, scale):
    assert dsb_scale(squares(side), CONFIG.data) == scale


def test_nuclei_cut_by_the_edge_do_not_count_towards_the_scale():
    instances = squares(29, count=2)
    instances[100:, :2] = 9
    instances[100:, 10:12] = 10
    assert dsb_scale(instances, CONFIG.data) == 0.5


def test_shrinking_keeps_every_number_and_the_mean_colour():
    sample = disc_sample()
    image, instances = shrink(sample.image, sample.instances, 0.5)
    assert image.shape == (24, 32, 3)
    assert instances.shape == (24, 32)
    assert set(np.unique(instances)) == {0, 1, 2}
    assert np.allclose(image.mean((0, 1)), sample.image.mean((0, 1)), atol=1)


def test_look_alikes_share_a_group_and_pink_images_too():
    looks = {"dark": (60, 20, 120), "dark too": (61, 21, 121), "pale": (200, 150, 220)}
    purple = [disc_sample(name, "nuclei_dsb2018", "stained", colour) for name, colour in looks.items()]
    pink = [disc_sample(name, "nuclei_dsb2018", "he") for name in ("p1", "p2")]
    config = CONFIG.data.model_copy(update={"groups": 2})
    groups = group_samples((*purple, *pink, disc_sample("t1"), disc_sample("t2")), config)
    assert groups[0] == groups[1] != groups[2]
    assert groups[3] == groups[4]
    assert len(set(groups)) == 5


def test_a_group_is_never_divided_and_blank_tiles_are_never_held_out():
    samples = (*(disc_sample(str(i)) for i in range(12)), disc_sample("glass", "qc_tiles", "blank"))
    groups = (*(f"g{i // 3}" for i in range(12)), "glass")
    folds = assign_folds(samples, groups, 3, seed=4)
    assert folds[-1] == -1
    assert set(folds[:-1]) == {0, 1, 2}
    assert all(len(set(folds[i : i + 3])) == 1 for i in range(0, 12, 3))
    assert folds == assign_folds(samples, groups, 3, seed=4)


@pytest.fixture
def tiny_data(tmp_path):
    return write_tiny_data(tmp_path)


def test_what_was_prepared_is_read_back(tiny_data, tmp_path):
    prepared = prepare(tiny_data, tmp_path / "work", CONFIG)
    loaded = load_prepared(tmp_path / "work")
    assert (loaded.groups, loaded.folds, loaded.digests) == (prepared.groups, prepared.folds, prepared.digests)
    for mine, theirs in zip(prepared.samples, loaded.samples, strict=True):
        assert (mine.name, mine.source, mine.kind, mine.scale) == (
            theirs.name,
            theirs.source,
            theirs.kind,
            theirs.scale,
        )
        np.testing.assert_array_equal(mine.image, theirs.image)
        np.testing.assert_array_equal(mine.instances, theirs.instances)


def test_held_out_and_trained_on_are_all_there_is(tiny_data, tmp_path):
    prepared = prepare(tiny_data, tmp_path / "work", CONFIG)
    names = sorted((s.source, s.name) for s in prepared.samples)
    for fold in range(CONFIG.data.folds):
        parts = prepared.part(fold, held_out=True) + prepared.part(fold, held_out=False)
        assert sorted((s.source, s.name) for s in parts) == names
    assert len(prepared.part(None, held_out=False)) == len(names)


def test_the_digest_of_a_source_follows_its_bytes(tiny_data, tmp_path):
    before = prepare(tiny_data, tmp_path / "work", CONFIG).digests
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tiny_data / "nuclei_tnbc/images/t0.png")
    after = prepare(tiny_data, tmp_path / "work", CONFIG).digests
    assert before["nuclei_tnbc"] != after["nuclei_tnbc"]
    assert before["nuclei_dsb2018"] == after["nuclei_dsb2018"]


def test_a_missing_source_is_named(tiny_data):
    for path in (tiny_data / "nuclei_tnbc/images").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="no PNG images"):
        list(read_sources(tiny_data, CONFIG.data))
