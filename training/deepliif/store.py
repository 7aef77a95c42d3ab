"""Prepared pictures on disk: one flat file of panels and one of instances for each part, read as they are needed."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from training.deepliif.masks import Flags, Instances, Picture
from training.deepliif.panels import NAMES, Panels
from training.deepliif.real import Cells

PANELS, INSTANCES, INDEX = "panels.u8", "instances.i32", "index.json"


@dataclass(frozen=True)
class PictureRow:
    """Where a prepared picture comes from."""

    name: str
    case: str
    source: str
    synthetic: bool
    """Whether a program made the picture: phantoms, and real nuclei under stain that was moved."""
    has_modalities: bool


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures of one size, in order."""

    side_px: int
    rows: tuple[PictureRow, ...]
    pictures: NDArray[np.uint8]
    """(N, side, side, 18): the panels' channels, in DeepLIIF's order."""
    instances: NDArray[np.int32]
    """(N, side, side)."""

    def __len__(self) -> int:
        return len(self.rows)

    def panels(self, index: int) -> Panels:
        """One picture's panels."""
        return split_channels(np.asarray(self.pictures[index]))


class SetWriter:
    """Writes a set picture by picture; what is written counts once the writer is closed without an error."""

    def __init__(self, folder: Path, side_px: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX).unlink(missing_ok=True)
        self._folder, self._side = folder, side_px
        self._rows: list[PictureRow] = []
        self._digest = hashlib.sha256()
        self._files: tuple[BinaryIO, BinaryIO] = ((folder / PANELS).open("wb"), (folder / INSTANCES).open("wb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files:
            file.close()
        if kind is None:
            index = {"side_px": self._side, "digest": self._digest.hexdigest(), "rows": [asdict(r) for r in self._rows]}
            (self._folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", "utf-8")

    def add(self, row: PictureRow, panels: Panels, instances: Instances) -> None:
        """Take one picture.

        Raises
        ------
        ValueError
            It is not of the set's size.
        """
        channels = join_channels(panels)
        if channels.shape[:2] != (self._side,) * 2 or instances.shape != (self._side,) * 2:
            raise ValueError(f"{row.name} is {channels.shape[:2]} px large, the set's pictures are {self._side} px")
        parts = (channels.tobytes(), np.ascontiguousarray(instances, np.int32).tobytes())
        for file, data in zip(self._files, parts, strict=True):
            file.write(data)
            self._digest.update(data)
        self._digest.update(json.dumps(asdict(row)).encode())
        self._rows.append(row)


def read_set(folder: Path) -> PictureSet:
    """The set in a folder; pixels stay on disk until they are asked for.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    index = _index(folder)
    side, rows = index["side_px"], tuple(PictureRow(**row) for row in index["rows"])
    if not rows:
        empty = (0, side, side)
        return PictureSet(side, (), np.zeros((*empty, 3 * len(NAMES)), np.uint8), np.zeros(empty, np.int32))
    shape = (len(rows), side, side)
    pictures = np.memmap(folder / PANELS, np.uint8, "r", shape=(*shape, 3 * len(NAMES)))
    return PictureSet(side, rows, pictures, np.memmap(folder / INSTANCES, np.int32, "r", shape=shape))


def set_digest(folder: Path) -> str:
    """SHA-256 over the set's pictures and rows, as it was written."""
    return str(_index(folder)["digest"])


def write_whole(path: Path, row: PictureRow, cells: Cells) -> str:
    """Write a picture of any size with its truth as `.npz`; the SHA-256 of its arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = join_channels(cells.panels)
    np.savez_compressed(
        path, channels=channels, instances=cells.instances, positive=cells.positive, row=json.dumps(asdict(row))
    )
    digest = hashlib.sha256(channels.tobytes() + cells.instances.tobytes() + cells.positive.tobytes())
    return digest.hexdigest()


def read_wholes(folder: Path) -> Iterator[tuple[PictureRow, Cells]]:
    """The pictures that were written whole, in order of name."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            positive: Flags = file["positive"]
            cells = Cells(split_channels(file["channels"]), file["instances"], positive)
            yield PictureRow(**json.loads(str(file["row"]))), cells


def join_channels(panels: Panels) -> Picture:
    """The panels' channels one behind the other, uint8 (H, W, 18)."""
    return np.concatenate([getattr(panels, name) for name in NAMES], axis=2)


def split_channels(channels: Picture) -> Panels:
    """The panels of channels (H, W, 18)."""
    return Panels(*(np.ascontiguousarray(channels[..., 3 * k : 3 * k + 3]) for k in range(len(NAMES))))


def _index(folder: Path) -> dict[str, Any]:
    if not (folder / INDEX).is_file():
        raise FileNotFoundError(f"there are no prepared pictures in {folder}: run `prepare` first")
    found: dict[str, Any] = json.loads((folder / INDEX).read_text("utf-8"))
    return found
