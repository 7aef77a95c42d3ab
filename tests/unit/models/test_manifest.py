"""What a manifest refuses, so that the engine never meets it."""

import pytest
from pydantic import ValidationError

from models.manifest import GridSpec, InputSpec, Manifest, OutputSpec
from tests.toy_predictor import toy_manifest

GRID = {"mpp": 0.5, "mpp_min": 0.25, "mpp_max": 1.0, "tile_px": 64, "halo_px": 8, "align_px": 8}
OUTPUT = {"name": "out", "kind": "image", "activation": "tanh", "channels": 3}
AREAS = {"kind": "areas", "output": "out"}
POINTS = {
    "kind": "points",
    "output": "out",
    "component_threshold": 0.4,
    "detection_threshold": 0.5,
    "min_distance_um": 7.5,
    "label": "mitosis",
}
SEEN = {"images": 5, "mpp": 0.5, "ranges": {"eosin_hue": {"low": 1.0, "high": 2.0}}}


def document(**changes):
    return toy_manifest(kind="classes").model_dump(mode="json") | changes


def with_output(**changes):
    (output,) = document()["outputs"]
    return {"outputs": [output | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mpp": 2.0}, "outside of its own range"),
        ({"tile_px": 60}, "multiples of align_px 8"),
        ({"halo_px": 4}, "multiples of align_px 8"),
        ({"batch": 0}, "batch"),
        ({"mpp_min": 0}, "mpp_min"),
        ({"tile": 1}, "tile"),
    ],
)
def test_a_grid_that_cannot_be(changes, message):
    with pytest.raises(ValidationError, match=message):
        GridSpec(**GRID | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 4}, "must have 3 channels"),
        ({"kind": "heat"}, "must have 1 channel"),
        ({"kind": "classes"}, "3 channels and 0 classes"),
        ({"name": "Out put"}, "name"),
    ],
)
def test_an_output_that_cannot_be(changes, message):
    with pytest.raises(ValidationError, match=message):
        OutputSpec(**OUTPUT | changes)


@pytest.mark.parametrize("changes", [{"std": (0.1, 0.0, 0.1)}, {"mean": (0.1, float("nan"), 0.1)}, {"resize_px": 4}])
def test_an_input_that_cannot_be(changes):
    with pytest.raises(ValidationError):
        InputSpec(**changes)


def test_bytes_are_not_scaled():
    with pytest.raises(ValidationError, match="normalises inside"):
        InputSpec(dtype="uint8")
    assert InputSpec(dtype="uint8", scale=1).scale == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": []}, "at least 1"),
        ({"input": {"resize_px": 64}}, "lose their place"),
        ({"outputs": document()["outputs"] * 2}, "same name"),
        (with_output(stride_px=8), "does not divide align_px"),
        (with_output(inset_px=9), "inset 9"),
        (with_output(stride_px=4, inset_px=2), "on its stride grid"),
        ({"measures": [{"kind": "areas", "output": "other"}]}, "unknown output other"),
        ({"measures": [{"kind": "cells", "output": "out", "interior": "nucleus"}]}, "unknown class nucleus"),
        ({"measures": [{"kind": "guess", "output": "out"}]}, "guess"),
        ({"measures": [AREAS | {"positive": "dark"}]}, "both a positive and a negative"),
        ({"measures": [AREAS | {"negative": "dark"}]}, "both a positive and a negative"),
        ({"measures": [AREAS | {"positive": "dark", "negative": "dark"}]}, "cannot be both"),
        ({"measures": [AREAS | {"positive": "dark", "negative": "grey"}]}, "unknown class grey"),
        ({"measures": [POINTS | {"hotspot_mm2": 0}]}, "hotspot_mm2"),
        ({"measures": [POINTS | {"hotspot_mm2": 2, "hotspots": 0}]}, "hotspots"),
        ({"measures": [POINTS | {"hotspot_mm2": 2, "theta1": 6}]}, "both theta1 and theta2"),
        ({"measures": [POINTS | {"hotspot_mm2": 2, "theta1": 6, "theta2": 5}]}, "must not be above theta2"),
        ({"measures": [POINTS | {"hotspot_mm2": 2, "theta1": -1, "theta2": 5}]}, "theta1"),
        ({"measures": [POINTS | {"theta1": 6, "theta2": 20}]}, "needs hotspot_mm2"),
        ({"seen": SEEN | {"ranges": {}}}, "ranges"),
        ({"seen": SEEN | {"ranges": {"colour": {"low": 0, "high": 1}}}}, "colour"),
        ({"seen": SEEN | {"ranges": {"eosin_hue": {"low": 2, "high": 1}}}}, "wrong way round"),
        ({"files": []}, "files"),
        ({"files": [document()["files"][0] | {"role": "card"}]}, "role `network`"),
        ({"files": document()["files"] * 2}, "same path"),
        ({"statistics": {"length": 4}}, "calibrator"),
        ({"version": "1.0"}, "version"),
        ({"name": "Nuclei"}, "name"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_cannot_be(changes, message):
    with pytest.raises(ValidationError, match=message):
        Manifest.model_validate(document(**changes))


def test_a_manifest_written_is_the_manifest_read():
    manifest = toy_manifest(kind="classes")
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert manifest.reference == "toy@1.0.0"
    assert manifest.output("out").channels == 2
    assert manifest.file("card") is None
    with pytest.raises(KeyError):
        manifest.output("other")


def test_measures_and_colours_seen_that_can_be():
    measures = [AREAS | {"positive": "dark", "negative": "bright"}, POINTS | {"hotspot_mm2": 2.0}]
    manifest = Manifest.model_validate(document(measures=measures, seen=SEEN))
    assert manifest.measures[1].hotspot_mm2 == 2.0
    assert manifest.seen.ranges["eosin_hue"].high == 2.0
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
