import numpy as np
import pytest
import torch

from tests.unit.training.deepliif.made import picture_of, squares
from training.deepliif.batches import Feed, augmented, panel_channels, to_tensor
from training.deepliif.config import MODALITIES, AugmentConfig, PhantomConfig
from training.deepliif.data import export_panels, own_cells, tiles_of
from training.deepliif.panels import NAMES, list_training_data, read_panels, write_panels
from training.deepliif.phantoms import phantom_specs
from training.deepliif.store import (
    PictureRow,
    SetWriter,
    join_channels,
    read_set,
    read_wholes,
    set_digest,
    split_channels,
    write_whole,
)

SIDE = 32
ROW = PictureRow("a", "a", "phantom", True, True)


def cells(seed=0):
    instances = squares(SIDE)
    return picture_of(instances, np.random.default_rng(seed).random(int(instances.max())) < 0.5)


@pytest.fixture
def folder(tmp_path):
    for part in ("train", "val"):
        with SetWriter(tmp_path / part, SIDE) as writer:
            for k in range(3):
                name = f"{part[0]}{k}"
                row = PictureRow(name, name, "phantom", True, k != 1)
                writer.add(row, cells(k).panels, cells(k).instances)
    return tmp_path


def test_what_is_stored_is_read(folder):
    found = read_set(folder / "train")
    assert [row.name for row in found.rows] == ["t0", "t1", "t2"]
    for name in NAMES:
        assert (getattr(found.panels(2), name) == getattr(cells(2).panels, name)).all()
    assert (found.instances[1] == cells(1).instances).all()


def test_a_set_that_was_not_finished_is_not_there(tmp_path):
    def broken():
        with SetWriter(tmp_path, SIDE) as writer:
            writer.add(ROW, cells().panels, cells().instances)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    with pytest.raises(FileNotFoundError, match="run `prepare` first"):
        read_set(tmp_path)


def test_the_digest_is_of_pixels_and_rows(tmp_path):
    def digest(name, seed, row):
        with SetWriter(tmp_path / name, SIDE) as writer:
            writer.add(row, cells(seed).panels, cells(seed).instances)
        return set_digest(tmp_path / name)

    other = PictureRow("b", "a", "phantom", True, True)
    found = [digest("1", 0, ROW), digest("2", 0, ROW), digest("3", 1, ROW), digest("4", 0, other)]
    assert found[0] == found[1] and len(set(found)) == 3


def test_a_picture_of_another_size_is_refused(tmp_path):
    with SetWriter(tmp_path, SIDE * 2) as writer, pytest.raises(ValueError, match="64 px"):
        writer.add(ROW, cells().panels, cells().instances)


def test_whole_pictures_come_back_with_their_truth(tmp_path):
    write_whole(tmp_path / "a.npz", ROW, cells(4))
    [(row, found)] = read_wholes(tmp_path)
    assert (
        row == ROW and (found.positive == cells(4).positive).all() and (found.panels.seg == cells(4).panels.seg).all()
    )


def test_a_picture_is_cut_into_squares_with_cells_of_their_own():
    whole = cells(1)
    tiles = list(tiles_of(whole, 16))
    assert len(tiles) == 4
    for tile in tiles:
        assert tile.panels.ihc.shape == (16, 16, 3)
        assert len(tile.positive) == int(tile.instances.max())
        red = tile.panels.seg[..., 0] > 0
        assert tile.positive[np.unique(tile.instances[red]) - 1].all()
    with pytest.raises(ValueError, match="smaller than side_px"):
        list(tiles_of(whole, 64))


def test_panels_are_written_for_deepliif_without_those_that_lack_modalities(folder, tmp_path):
    assert export_panels(folder, tmp_path / "out") == {"train": 2, "val": 2}
    paths = list_training_data(tmp_path / "out")["train"]
    assert [path.stem for path in paths] == ["t0-00000", "t2-00002"]
    assert (read_panels(paths[1], SIDE).marker == cells(2).panels.marker).all()


def test_ones_own_panels_hold_the_cells_of_their_mask(tmp_path):
    given = cells(5)
    write_panels(tmp_path / "own.png", given.panels)
    found = own_cells(tmp_path / "own.png")
    assert len(found.positive) == len(given.positive) and found.positive.sum() == given.positive.sum()


def feed(folder, **changed):
    sets = (read_set(folder / "train"), read_set(folder / "val"))
    return Feed(
        **{"sets": sets, "modalities": ("dapi", "marker"), "augment": AugmentConfig(), "seed": 7, "batch": 1} | changed
    )


def test_batches_hold_ihc_the_modalities_in_use_and_the_mask(folder):
    ihc, modalities, mask, has = feed(folder).batch_of([2])
    panels = cells(2).panels
    assert torch.equal(ihc, to_tensor(panels.ihc[None])) and torch.equal(mask, to_tensor(panels.seg[None]))
    assert torch.equal(modalities, torch.cat([to_tensor(p[None]) for p in (panels.dapi, panels.marker)], 1))
    assert has.tolist() == [True] and feed(folder).batch_of([1])[3].tolist() == [False]
    assert float(ihc.min()) >= -1 and float(mask.max()) == 1
    assert feed(folder, modalities=()).batch_of([0])[1].shape == (1, 0, SIDE, SIDE)


def test_an_epoch_shows_every_picture_once_in_an_order_of_its_own(folder):
    def order(epoch):
        return [float(batch[0].mean()) for batch in feed(folder).epoch(epoch)]

    assert len(order(0)) == 6 and sorted(order(0)) == sorted(order(1)) and order(0) == order(0)
    assert feed(folder, pictures=4, batch=2).batches_per_epoch == 2
    with pytest.raises(ValueError, match="do not fill a batch"):
        next(feed(folder, batch=7).epoch(0))


def test_pictures_are_turned_alike_and_stain_changes_in_the_ihc_alone():
    channels = join_channels(cells(3).panels)
    turned = augmented(channels, AugmentConfig(turn=True), np.random.default_rng(5))
    ways = [np.rot90(side, k) for side in (channels, channels[:, ::-1]) for k in range(4)]
    assert any((turned == way).all() for way in ways) and (turned != channels).any()
    stained = augmented(channels, AugmentConfig(density=0.3, light=0.1, blur_px=1.0), np.random.default_rng(5))
    assert (stained[..., 3:] == channels[..., 3:]).all() and (stained[..., :3] != channels[..., :3]).any()
    same = augmented(channels, AugmentConfig(), np.random.default_rng(5))
    assert (same == channels).all() and same is not channels


def test_channels_lie_in_deepliifs_order():
    panels = split_channels(np.arange(18, dtype=np.uint8)[None, None].repeat(2, 0))
    for name in MODALITIES:
        assert panel_channels(name).start == getattr(panels, name)[0, 0, 0]


def test_no_phantom_is_in_two_parts():
    parts = phantom_specs(PhantomConfig(train=5, val=2, test=3), 0.25)
    seeds = [spec.seed for specs in parts.values() for spec in specs.values()]
    assert len(seeds) == len(set(seeds)) == 10
    assert {spec.width_px for spec in parts["test"].values()} == {1024}
