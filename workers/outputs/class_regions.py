"""The connected parts of each class of a map as GeoJSON annotations for QuPath, with holes.

Outlines are taken from a level of the map's pyramid, the finest that has at most `MAX_PX` pixels and is not finer than
`FINEST_MPP`: a bound on memory whatever the slide, and on what a viewer has to draw. There, parts below an area are
left out. Areas of classes are those of the scores, from the finest level; an outline's own is that of its pixels.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.manifest import ClassSpec
from workers.geometry import Box
from workers.measures.class_outlines import Part, class_parts
from workers.outputs.files import replace_whole
from workers.outputs.geojson import DECIMALS
from workers.outputs.maps import MapSpec, read_box
from workers.outputs.marks import mark_metadata
from workers.outputs.place import Place

MAX_PX = 2**24
FINEST_MPP = 1.0
AREA_DECIMALS = 6


def outline_level(spec: MapSpec, place: Place) -> int:
    """The level that outlines are taken from."""
    for level in range(spec.levels):
        width, height = spec.level_size(level)
        if width * height <= MAX_PX and place.mpp * 2**level >= FINEST_MPP * (1 - 1e-6):
            return level
    return spec.levels - 1


def write_class_regions(path: Path, folder: Path, spec: MapSpec, place: Place, min_mm2: float) -> None:
    """Write the parts of each class that is not background, class by class; the file appears when it is whole.

    Parameters
    ----------
    spec
        Of a class map.
    min_mm2
        Smaller parts are left out.
    """
    level = outline_level(spec, place)
    mpp, scale = place.mpp * 2**level, place.scale * 2**level
    head = place.metadata() | mark_metadata(spec.virtual) | {"outline_mpp": mpp, "smallest_mm2": min_mm2}
    with replace_whole(path) as file:
        file.write(f'{{"type":"FeatureCollection","histoserve":{json.dumps(head)},"features":['.encode())
        separator = "\n"
        for item, part in _parts(folder, spec, level, min_mm2 / (mpp / 1000) ** 2):
            feature = _feature(item, part, scale, (mpp / 1000) ** 2)
            file.write(f"{separator}{json.dumps(feature, ensure_ascii=False, separators=(',', ':'))}".encode())
            separator = ",\n"
        file.write(b"\n]}\n")


def _parts(folder: Path, spec: MapSpec, level: int, min_px: float) -> Iterator[tuple[ClassSpec, Part]]:
    values = read_box(folder, spec, Box(0, 0, *spec.level_size(level)), level)
    present = np.bincount(values.ravel(), minlength=256)
    for value, item in enumerate(spec.classes):
        if not item.background and present[value] >= max(1, min_px):
            for part in class_parts(values == value, min_px):
                yield item, part


def _feature(item: ClassSpec, part: Part, scale: float, px_mm2: float) -> dict[str, Any]:
    rings = [np.round(ring * scale, DECIMALS).tolist() for ring in part.rings]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": item.name, "color": list(item.colour)},
            "measurements": {"Area mm^2": round(part.area_px * px_mm2, AREA_DECIMALS)},
        },
    }
