"""Maps with as many nuclei as one likes, drawn shard by shard from stamps: how many there are is known exactly."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Frame
from workers.outputs.maps import MapSpec, create_maps, write_shard

PITCH_PX = 24
STAMPS = 64
SEED = 7
INTERIOR, RIM, NOTHING = 1, 2, 0

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Field:
    """So many nuclei in rows and columns, one in each square of `PITCH_PX`; none touches another."""

    columns: int
    rows: int

    @property
    def nuclei(self) -> int:
        return self.columns * self.rows

    @property
    def size_px(self) -> tuple[int, int]:
        return self.columns * PITCH_PX, self.rows * PITCH_PX


def class_stamps() -> Bytes:
    """(STAMPS, PITCH_PX, PITCH_PX): ellipses of 9 to 17 px with a rim, each at its own angle and place."""
    rng = np.random.default_rng(SEED)
    ys, xs = np.mgrid[:PITCH_PX, :PITCH_PX] + 0.5
    stamps = np.zeros((STAMPS, PITCH_PX, PITCH_PX), np.uint8)
    for stamp in stamps:
        (x, y), (a, b), turn = rng.uniform(11, 13, 2), rng.uniform(4.5, 8.5, 2), rng.uniform(0, np.pi)
        along = (xs - x) * np.cos(turn) + (ys - y) * np.sin(turn)
        across = (ys - y) * np.cos(turn) - (xs - x) * np.sin(turn)
        stamp[np.hypot(along / (a + 1.5), across / (b + 1.5)) <= 1] = RIM
        stamp[np.hypot(along / a, across / b) <= 1] = INTERIOR
    return stamps


def mask_stamps() -> Bytes:
    """(STAMPS, 3, PITCH_PX, PITCH_PX): the same as an IHC mask, two in five positive (red), with green rims."""
    classes = class_stamps()
    positive = np.arange(STAMPS)[:, None, None] % 5 < 2
    red, blue = (classes == INTERIOR) & positive, (classes == INTERIOR) & ~positive
    return np.stack((red, classes == RIM, blue), axis=1).astype(np.uint8) * 255


def draw(folder: Path, spec: MapSpec, frame: Frame, field: Field, stamps: Bytes) -> int:
    """Write the map of a field, a shard at a time; the bytes on the disk."""
    create_maps(folder, [spec], frame)
    choice = np.random.default_rng(SEED + 1).integers(len(stamps), size=(field.rows, field.columns))
    written = 0
    for y in range(-(-spec.height_px // spec.shard_px)):
        for x in range(-(-spec.width_px // spec.shard_px)):
            box = spec.shard_box(x, y)
            top, left = box.y // PITCH_PX, box.x // PITCH_PX
            part = choice[top : -(-box.bottom // PITCH_PX), left : -(-box.right // PITCH_PX)]
            picture = _mosaic(stamps[part])[..., box.y - top * PITCH_PX :, box.x - left * PITCH_PX :]
            record = write_shard(folder, spec, x, y, picture[..., : box.height, : box.width])
            written += 0 if record is None else record.size_bytes
    return written


def _mosaic(stamps: Bytes) -> Bytes:
    """(rows, columns, …, side, side) to (…, rows * side, columns * side)."""
    rows, columns, *channels, side, _ = stamps.shape
    planes = stamps.reshape(rows, columns, -1, side, side).transpose(2, 0, 3, 1, 4)
    return planes.reshape(*channels, rows * side, columns * side)
