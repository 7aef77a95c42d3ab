"""Small maps and frames for the tests of outputs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.manifest import ClassSpec
from workers.geometry import Box, Frame
from workers.outputs.maps import MapKind, MapSpec, create_maps, fill_of, write_shard

CLASSES = (
    ClassSpec(name="background", colour=(250, 250, 250), background=True),
    ClassSpec(name="nucleus", colour=(0, 160, 60)),
    ClassSpec(name="border", colour=(255, 200, 0)),
)


def make_frame(width: int, height: int, scale: float = 2.0) -> Frame:
    """A frame at 0.5 um per px over a slide `scale` times finer, with a bounds offset."""
    bounds = Box(64, 32, int(width * scale) - 64, int(height * scale) - 32)
    return Frame(mpp=0.5, width_px=width, height_px=height, level0_mpp=0.5 / scale, bounds=bounds)


def make_spec(
    width: int, height: int, kind: MapKind = "classes", *, shard: int = 8, chunk: int = 4, channels: int = 1
) -> MapSpec:
    """A map with tiny shards."""
    planar = {"image": 3, "probabilities": 3}.get(kind, channels)
    classes = CLASSES if kind in ("classes", "probabilities") else ()
    return MapSpec(kind, kind, planar, 1, width, height, shard, chunk, fill_of(kind), classes)


def store(folder: Path, spec: MapSpec, values: NDArray[np.uint8], frame: Frame | None = None) -> MapSpec:
    """Write a whole map."""
    create_maps(folder, [spec], frame or make_frame(spec.width_px, spec.height_px))
    for y in range(-(-spec.height_px // spec.shard_px)):
        for x in range(-(-spec.width_px // spec.shard_px)):
            box = spec.shard_box(x, y)
            write_shard(folder, spec, x, y, values[..., box.y : box.bottom, box.x : box.right])
    return spec


def random_values(spec: MapSpec, seed: int = 0, *, sparse: bool = False) -> NDArray[np.uint8]:
    """Values for a map: classes 0 to 2, else 0 to 255; `sparse` leaves most of it at the fill."""
    rng = np.random.default_rng(seed)
    top = 3 if spec.kind == "classes" else 256
    values = rng.integers(0, top, spec.shape(spec.width_px, spec.height_px)).astype(np.uint8)
    if sparse:
        values[..., spec.height_px // 3 :, :] = spec.fill
    return values
