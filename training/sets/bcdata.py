"""BCData's layout: PNG images, and points of positive and negative cells in HDF5 files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.sets.checks import LabelsError, check_inside, image_size, plain_name
from training.sets.marks import Mark, MarkedImage

SOURCE = "BCData"
SPLITS = ("train", "validation", "test")
LABELS = ("positive", "negative")
DATASET = "coordinates"


def read_bcdata(
    folder: Path, mpp: float, splits: Sequence[str] = SPLITS, case_of: Callable[[str], str] = plain_name
) -> tuple[MarkedImage, ...]:
    """The images with their marks, labelled positive and negative, in order of split and number.

    The files are `images/<split>/N.png` and `annotations/<split>/{positive,negative}/N.h5`, whose dataset `coordinates`
    is (n, 2): x, y. A split without a folder of images is left out.

    Parameters
    ----------
    case_of
        From an image's path below `images` to its case; by default each image is a case of its own, as the layout
        does not tell of patients.

    Raises
    ------
    FileNotFoundError
        No image, or an image without its points.
    LabelsError
        A file is no HDF5, or holds something else than points in the image.

    References
    ----------
    Huang et al. 2020, doi:10.1007/978-3-030-59722-1_28.
    """
    files = [file for split in splits for file in sorted((folder / "images" / split).glob("*.png"), key=_order)]
    if not files:
        raise FileNotFoundError(f"there is no image in {folder / 'images'}, in {', '.join(splits)}")
    found = []
    for file in files:
        split, size = file.parent.name, image_size(file, mpp)
        marks: list[Mark] = []
        for label in LABELS:
            path = folder / "annotations" / split / label / f"{file.stem}.h5"
            for number, (x, y) in enumerate(read_points(path).tolist()):
                marks.append(Mark(x, y, label))
                check_inside(path, f"point {number}", marks[-1], size)
        below = f"{split}/{file.name}"
        image = MarkedImage(plain_name(below), case_of(below), SOURCE, False, file, mpp, *size, tuple(marks))
        found.append(image)
    return tuple(found)


def read_points(path: Path) -> NDArray[np.float64]:
    """(n, 2) points x, y of an HDF5 file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    LabelsError
        It is no HDF5, has no dataset `coordinates`, or something else in it than finite pairs.
    """
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: every image needs its points, be it none")
    try:
        with h5py.File(path, "r") as file:
            dataset = file.get(DATASET)
            stored = np.asarray(dataset) if isinstance(dataset, h5py.Dataset) else None
    except (OSError, KeyError, RuntimeError) as error:
        raise LabelsError(path, "", "it is no HDF5 file, or a truncated one") from error
    if stored is None:
        raise LabelsError(path, "", f"it has no dataset {DATASET!r}")
    if stored.dtype.kind not in "iuf" or (stored.size and (stored.ndim != 2 or stored.shape[1] != 2)):
        raise LabelsError(path, DATASET, f"{stored.dtype} of shape {stored.shape}, not (n, 2) numbers")
    points = stored.astype(np.float64).reshape(-1, 2)
    broken = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(broken):
        raise LabelsError(path, f"point {broken[0]}", "it is not finite")
    return points


def _order(file: Path) -> tuple[int, str]:
    """Numbers as numbers, names behind them."""
    return (int(file.stem), "") if file.stem.isdecimal() else (1 << 60, file.stem)
