"""OME-Zarr 0.5 metadata of a map: where each of its pixels lies on the slide, and what its values mean.

Two conventions meet here, and both are written down in the file:

* OME-Zarr places pixel *centres*: index i of a level lies at `scale * i + translation` um. Its world is the slide's
  own, with the centre of level-0 pixel (0, 0) as origin, so that a map and a slide converted by any OME tool lie on
  each other. A pixel of m um then has its first centre at (m - m0) / 2, m0 being level 0's mpp.
* Our own `level0_affine` maps pixel *edges*: corner (x, y) of map px to level-0 px, whose pixel i covers [i, i + 1).

The tests hold every kind of map against yaozarrs' models of the format; a run does without them, for they take longer
to load than to write a map's metadata.
"""

from typing import Any

from workers.geometry import Frame
from workers.outputs.marks import MARK, mark_metadata
from workers.outputs.place import place_of
from workers.outputs.shards import ZSTD_LEVEL
from workers.outputs.spec import NOT_ANALYSED, MapSpec

ATTRIBUTE = "histoserve"
RGB_COLOURS = ("FF0000", "00FF00", "0000FF")


def group_metadata(spec: MapSpec, frame: Frame) -> dict[str, Any]:
    """`zarr.json` of the map's group."""
    content: dict[str, Any] = {"version": "0.5", "multiscales": [_multiscale(spec, frame)]}
    if spec.kind == "classes":
        content["image-label"] = _image_label(spec)
    else:
        content["omero"] = {"channels": _channels(spec)}
    attributes = {"ome": content, ATTRIBUTE: own_attributes(spec, frame)}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def array_metadata(spec: MapSpec, level: int) -> dict[str, Any]:
    """`zarr.json` of one level."""
    width, height = spec.level_size(level)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(spec.shape(width, height)),
        "data_type": "uint8",
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(spec.shape(spec.shard_px, spec.shard_px))},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": spec.fill,
        "codecs": [_sharding(spec)],
        "attributes": {},
        "dimension_names": ["c", "y", "x"] if spec.is_planar else ["y", "x"],
        "storage_transformers": [],
    }


def own_attributes(spec: MapSpec, frame: Frame) -> dict[str, Any]:
    """Our own attributes: mpp, the way to level 0, the scanned part, and what the values mean."""
    meaning = [
        {"value": value, "name": item.name, "colour": list(item.colour), "background": item.background}
        for value, item in enumerate(spec.classes)
    ]
    empty = {"not_analysed": NOT_ANALYSED} if spec.kind == "classes" else {}
    place = place_of(frame, spec.stride_px).metadata()
    return {"kind": spec.kind, **place, **mark_metadata(spec.virtual), **empty, "classes": meaning}


def _multiscale(spec: MapSpec, frame: Frame) -> dict[str, Any]:
    space = [{"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")]
    axes = [{"name": "c", "type": "channel"}, *space] if spec.is_planar else space
    datasets = [_dataset(spec, frame, level) for level in range(spec.levels)]
    method = "majority of 2 x 2" if spec.kind == "classes" else "mean of 2 x 2"
    name = spec.name if spec.virtual is None else f"{spec.name} ({MARK})"
    mark = {"metadata": mark_metadata(spec.virtual)} if spec.virtual is not None else {}
    return {"name": name, "axes": axes, "datasets": datasets, "type": method, **mark}


def _dataset(spec: MapSpec, frame: Frame, level: int) -> dict[str, Any]:
    mpp = frame.mpp * spec.stride_px * 2**level
    lead = [1.0] if spec.is_planar else []
    zero = [0.0] if spec.is_planar else []
    shift = (mpp - frame.level0_mpp) / 2
    return {
        "path": str(level),
        "coordinateTransformations": [
            {"type": "scale", "scale": [*lead, mpp, mpp]},
            {"type": "translation", "translation": [*zero, shift, shift]},
        ],
    }


def _image_label(spec: MapSpec) -> dict[str, Any]:
    colours = [
        {"label-value": float(value), "rgba": [*item.colour, 0 if item.background else 255]}
        for value, item in enumerate(spec.classes)
    ]
    values = [*range(len(spec.classes)), NOT_ANALYSED]
    return {
        "colors": [*colours, {"label-value": float(NOT_ANALYSED), "rgba": [0, 0, 0, 0]}],
        "properties": [{"label-value": value} for value in values],
        "version": "0.5",
    }


def _channels(spec: MapSpec) -> list[dict[str, Any]]:
    if spec.kind == "image":
        labels, colours = ["red", "green", "blue"], list(RGB_COLOURS)
    else:
        labels = [item.name for item in spec.classes] or [spec.name]
        colours = ["".join(f"{value:02X}" for value in item.colour) for item in spec.classes] or ["FFFFFF"]
    window = {"start": 0.0, "min": 0.0, "end": 255.0, "max": 255.0}
    return [
        {"window": window, "label": label, "color": colour, "active": True}
        for label, colour in zip(labels, colours, strict=True)
    ]


def _sharding(spec: MapSpec) -> dict[str, Any]:
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": list(spec.shape(spec.chunk_px, spec.chunk_px)),
            "codecs": [
                {"name": "bytes"},
                {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}},
            ],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
            "index_location": "end",
        },
    }
