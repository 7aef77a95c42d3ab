"""Patches cut from slides by the reader that is used in earnest, kept on disk as plain arrays."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.sets.marks import MarkedImage
from workers.geometry import Box
from workers.slides.opening import open_slide
from workers.slides.slide import Slide

Bytes = NDArray[np.uint8]
Points = NDArray[np.float64]
META = "set.json"
COLUMNS = ("labels", "images", "cases", "x_px", "y_px", "synthetic")


@dataclass(frozen=True, eq=False)
class PatchSet:
    """Square patches with their labels and where they come from; row i of every array is patch i."""

    pixels: Bytes
    """(N, P, P, 3); memory-mapped where it was read from disk."""
    labels: NDArray[np.int64]
    """Index into `classes`."""
    classes: tuple[str, ...]
    images: NDArray[np.str_]
    cases: NDArray[np.str_]
    x_px: Points
    """Centres in level-0 px of the image."""
    y_px: Points
    synthetic: NDArray[np.bool_]
    mpp: float
    """um per px of the patches."""

    def __post_init__(self) -> None:
        if any(len(getattr(self, name)) != len(self.pixels) for name in COLUMNS):
            raise ValueError("the columns of a patch set must be as long as its pixels")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size_px(self) -> int:
        """Side of a patch."""
        return int(self.pixels.shape[1])

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> "PatchSet":
        """The patches at these rows, in that order; a row may come more than once."""
        rows = {name: getattr(self, name)[index] for name in ("pixels", *COLUMNS)}
        return PatchSet(classes=self.classes, mpp=self.mpp, **rows)

    def digest(self) -> str:
        """SHA-256 over pixels, labels and origins: two sets of the same digest are the same set."""
        digest = hashlib.sha256(json.dumps([list(self.classes), self.mpp, list(self.pixels.shape)]).encode())
        for start in range(0, len(self), 1024):
            digest.update(np.ascontiguousarray(self.pixels[start : start + 1024]).tobytes())
        for name in COLUMNS:
            column = getattr(self, name)
            plain = "\n".join(column.tolist()).encode() if column.dtype.kind == "U" else column.tobytes()
            digest.update(name.encode() + b"\0" + plain)
        return digest.hexdigest()


def cut_patches(slide: Slide, points_px: Points, size_px: int, mpp: float) -> Bytes:
    """(N, size_px, size_px, 3): the patches around points, at `mpp`; white outside of the slide.

    Parameters
    ----------
    points_px
        (N, 2) centres in level-0 px. A patch begins `size_px / 2` px of its own before its centre, rounded to whole px.

    Raises
    ------
    SlideUnreadableError
        A tile of a patch cannot be decoded.
    """
    patches = np.empty((len(points_px), size_px, size_px, 3), np.uint8)
    corners = np.rint(points_px * (slide.info.mpp / mpp) - size_px / 2).astype(np.int64)
    for row in np.lexsort((corners[:, 0], corners[:, 1] // 256)):
        x, y = corners[row].tolist()
        patches[row] = slide.read(Box(x, y, size_px, size_px), mpp)
    return patches


def patches_of(
    image: MarkedImage, points_px: Points, labels: Sequence[str], classes: tuple[str, ...], size_px: int, mpp: float
) -> PatchSet:
    """The patches around points of one image; labels are names of `classes`."""
    slide = open_slide(image.path, image.mpp)
    try:
        pixels = cut_patches(slide, points_px, size_px, mpp)
    finally:
        slide.close()
    count = len(points_px)
    return PatchSet(
        pixels=pixels,
        labels=np.array([classes.index(label) for label in labels], np.int64),
        classes=classes,
        images=np.full(count, image.name),
        cases=np.full(count, image.case),
        x_px=np.asarray(points_px[:, 0], np.float64),
        y_px=np.asarray(points_px[:, 1], np.float64),
        synthetic=np.full(count, image.synthetic),
        mpp=mpp,
    )


def join(sets: Sequence[PatchSet]) -> PatchSet:
    """One set of all rows, in order.

    Raises
    ------
    ValueError
        No set, or sets of other classes, sizes or resolutions.
    """
    kinds = {(part.classes, part.size_px, part.mpp) for part in sets}
    if len(kinds) != 1:
        raise ValueError(f"only patch sets of one kind can be joined, these are of {len(kinds)}")
    columns = {name: np.concatenate([getattr(part, name) for part in sets]) for name in ("pixels", *COLUMNS)}
    return PatchSet(classes=sets[0].classes, mpp=sets[0].mpp, **columns)


def write_patch_set(folder: Path, patches: PatchSet) -> None:
    """Write the set: an .npy file for each array, and `set.json` last, so that a half-written set is none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / META).unlink(missing_ok=True)
    for name in ("pixels", *COLUMNS):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(patches, name)), allow_pickle=False)
    meta = {"classes": list(patches.classes), "mpp": patches.mpp, "digest": patches.digest()}
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", "utf-8")


def read_patch_set(folder: Path) -> PatchSet:
    """The set in a folder; pixels stay on disk until they are used.

    Raises
    ------
    FileNotFoundError
        There is none, or writing it did not end: run `prepare`.
    """
    if not (folder / META).exists():
        raise FileNotFoundError(f"there are no finished patches in {folder}: run `prepare` first")
    meta = json.loads((folder / META).read_text("utf-8"))
    columns = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in COLUMNS}
    pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
    return PatchSet(pixels=pixels, classes=tuple(meta["classes"]), mpp=meta["mpp"], **columns)


def stored_digest(folder: Path) -> str:
    """The digest that was written with the set."""
    return str(json.loads((folder / META).read_text("utf-8"))["digest"])
