"""BCData: points in HDF5 files beside images."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.unit.training.sets.pictures import draw
from training.sets.bcdata import read_bcdata, read_points
from training.sets.marks import Mark


def write_points(path: Path, points: object, dataset: str = "coordinates") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[dataset] = np.asarray(points)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    for split, name in (("train", "10"), ("train", "9"), ("test", "0")):
        draw(tmp_path / "images" / split / f"{name}.png")
        write_points(tmp_path / "annotations" / split / "positive" / f"{name}.h5", [[3, 70], [90, 5]])
        write_points(tmp_path / "annotations" / split / "negative" / f"{name}.h5", np.zeros((0, 2), np.int64))
    return tmp_path


def test_points_of_both_kinds_in_order(folder):
    write_points(folder / "annotations" / "train" / "negative" / "9.h5", [[50.5, 40]])
    images = read_bcdata(folder, 0.25)
    assert [image.name for image in images] == ["train-9", "train-10", "test-0"]
    assert images[0].marks == (Mark(3, 70, "positive"), Mark(90, 5, "positive"), Mark(50.5, 40, "negative"))
    assert (images[0].case, images[0].source, images[0].width_px, images[0].height_px) == ("train-9", "BCData", 100, 80)


def test_splits_may_be_chosen(folder):
    assert [image.name for image in read_bcdata(folder, 0.25, splits=("test",))] == ["test-0"]
    with pytest.raises(FileNotFoundError, match=r"there is no image in .*, in validation"):
        read_bcdata(folder, 0.25, splits=("validation",))


def test_an_image_without_points_is_told(folder):
    (folder / "annotations" / "test" / "negative" / "0.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"0\.h5: every image needs its points"):
        read_bcdata(folder, 0.25)


def test_a_point_outside_is_told(folder):
    write_points(folder / "annotations" / "test" / "negative" / "0.h5", [[1, 1], [70, 90]])
    with pytest.raises(ValueError, match=r"0\.h5, point 1: 'negative' at \(70, 90\) px is outside"):
        read_bcdata(folder, 0.25)


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ([[1.0, np.nan]], "point 0: it is not finite"),
        ([[1, 2, 3]], r"int64 of shape \(1, 3\), not \(n, 2\) numbers"),
        ([1, 2], r"int64 of shape \(2,\), not"),
        ([[b"a", b"b"]], "not .n, 2. numbers"),
    ],
)
def test_what_are_no_points_is_told(tmp_path, points, problem):
    with pytest.raises(ValueError, match=problem):
        read_points(write_points(tmp_path / "0.h5", points))


def test_what_is_no_such_file_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"1\.h5: it has no dataset 'coordinates'"):
        read_points(write_points(tmp_path / "1.h5", [[1, 2]], dataset="points"))
    (tmp_path / "2.h5").write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match=r"2\.h5: it is no HDF5 file"):
        read_points(tmp_path / "2.h5")
    with h5py.File(tmp_path / "3.h5", "w") as file:
        file.create_group("coordinates")
    with pytest.raises(ValueError, match=r"3\.h5: it has no dataset"):
        read_points(tmp_path / "3.h5")
