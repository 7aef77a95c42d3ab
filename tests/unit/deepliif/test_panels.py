import numpy as np
import pytest
from PIL import Image

from training.deepliif.panels import (
    NAMES,
    Panels,
    PanelsInvalidError,
    join_panels,
    list_training_data,
    read_panels,
    split_panels,
    write_panels,
    write_training_data,
)

SIDE = 8


def panels(seed=0, side=SIDE):
    return Panels(*np.random.default_rng(seed).integers(0, 256, (6, side, side, 3), dtype=np.uint8))


def test_panels_lie_in_deepliifs_order():
    picture = join_panels(Panels(*(np.full((2, 2, 3), n, np.uint8) for n in range(6))))
    assert picture[0, :, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert NAMES == ("ihc", "hematoxylin", "dapi", "lap2", "marker", "seg")


def test_what_is_written_is_read(tmp_path):
    made = panels()
    write_panels(tmp_path / "a" / "one.png", made)
    read = read_panels(tmp_path / "a" / "one.png", SIDE)
    assert all((getattr(made, name) == getattr(read, name)).all() for name in NAMES)
    with Image.open(tmp_path / "a" / "one.png") as image:
        assert (image.format, image.size) == ("PNG", (6 * SIDE, SIDE))


def test_the_usual_side_is_512(tmp_path):
    write_panels(tmp_path / "one.png", panels())
    with pytest.raises(PanelsInvalidError, match="give RGB of 3072 x 512 px"):
        read_panels(tmp_path / "one.png")


def test_other_pictures_are_refused(tmp_path):
    made = panels()
    with pytest.raises(PanelsInvalidError, match="the panel dapi is"):
        join_panels(Panels(**{**vars(made), "dapi": made.dapi[:4]}))
    with pytest.raises(PanelsInvalidError, match="6 panels of 8 px"):
        split_panels(join_panels(made)[:, :-8], SIDE)
    with pytest.raises(PanelsInvalidError, match="without loss"):
        write_panels(tmp_path / "one.jpg", made)
    with pytest.raises(FileNotFoundError):
        read_panels(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PanelsInvalidError, match="no readable picture"):
        read_panels(tmp_path / "text.png")
    Image.new("L", (6 * SIDE, SIDE)).save(tmp_path / "grey.png")
    with pytest.raises(PanelsInvalidError, match="is L of 48 x 8 px"):
        read_panels(tmp_path / "grey.png", SIDE)
    write_panels(tmp_path / "cut.png", panels(side=32))
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(PanelsInvalidError, match="no readable picture"):
        read_panels(tmp_path / "cut.png", 32)


def test_training_data_lies_in_train_and_val(tmp_path):
    write_training_data(tmp_path, {"train": {"b": panels(1), "a": panels(2)}, "val": {"c": panels(3)}})
    found = list_training_data(tmp_path)
    assert {part: [p.name for p in paths] for part, paths in found.items()} == {
        "train": ["a.png", "b.png"],
        "val": ["c.png"],
    }
    assert (read_panels(found["train"][0], SIDE).seg == panels(2).seg).all()


def test_parts_are_checked(tmp_path):
    with pytest.raises(PanelsInvalidError, match="no part test"):
        write_training_data(tmp_path, {"test": {}})
    with pytest.raises(PanelsInvalidError, match="trained on and validated"):
        write_training_data(tmp_path, {"train": {"a": panels()}, "val": {"a": panels()}})
    with pytest.raises(PanelsInvalidError, match="no PNG in train and val"):
        list_training_data(tmp_path)
