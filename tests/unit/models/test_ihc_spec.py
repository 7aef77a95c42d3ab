"""The measure of IHC cells in a manifest, and what a caller may set of it."""

import jsonschema
import pytest
from pydantic import ValidationError

from models.errors import ParametersInvalidError
from models.importers.deepliif.package import cells_measures
from models.manifest import Manifest
from models.measures_spec import IhcCellsMeasure
from models.parameters import apply_parameters, measure_stems, parameters_in_effect, parameters_schema, read_parameters
from tests.toy_predictor import toy_manifest

IMAGE = {"name": "seg", "kind": "image", "activation": "tanh", "channels": 3}
HEAT = {"name": "heat", "kind": "heat", "activation": "sigmoid", "channels": 1}
MEASURE = {"kind": "ihc-cells", "output": "seg", "marker": "marker"}


def document(measure: dict, *outputs: dict) -> dict:
    shown = outputs or (IMAGE, IMAGE | {"name": "marker"})
    return toy_manifest(kind="classes").model_dump(mode="json") | {"outputs": list(shown), "measures": [measure]}


@pytest.mark.parametrize(
    ("measure", "outputs", "said"),
    [
        (MEASURE | {"output": "mask"}, (), "unknown output mask"),
        (MEASURE | {"marker": "dapi"}, (), "unknown output dapi"),
        (MEASURE | {"marker": "heat"}, (IMAGE, HEAT), "needs heat to be an image"),
        (MEASURE | {"output": "heat", "marker": None}, (IMAGE, HEAT), "needs heat to be an image"),
        (MEASURE | {"marker": None, "marker_threshold": 9}, (), "needs a marker"),
        (MEASURE | {"moderate_dab": 0.7}, (), "must not be above strong_dab"),
        (MEASURE | {"field_cells": 5}, (), "field_cells"),
    ],
)
def test_a_measure_that_cannot_be(measure, outputs, said):
    with pytest.raises(ValidationError, match=said):
        Manifest.model_validate(document(measure, *outputs))


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.model_validate(document(MEASURE | {"size_px": 49}))


def test_null_is_a_value_where_it_means_something(manifest):
    schema = parameters_schema(manifest)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert read_parameters(manifest, {"size_px": 49, "marker_threshold": None}) == {}
    parameters = read_parameters(manifest, {"size_px": None, "marker_threshold": 100})
    assert parameters == {"marker_threshold": 100, "size_px": None}
    jsonschema.validate(parameters, schema)
    assert apply_parameters(manifest, parameters).measures[0].size_px is None
    assert parameters_in_effect(manifest, parameters)["size_px"] is None
    assert measure_stems(manifest) == ("ihc-cells",)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size_px": -1}, r"a whole number, at least 0, at most 1e\+06; or null"),
        ({"min_cells": None}, "a whole number"),
        ({"marker_threshold": 256}, "at most 255"),
        ({"moderate_dab": 0.7}, "above strong_dab"),
    ],
)
def test_other_values_are_refused(manifest, values, said):
    with pytest.raises(ParametersInvalidError, match=said):
        read_parameters(manifest, values)


def test_without_a_marker_there_is_no_threshold_of_it():
    bare = Manifest.model_validate(document(MEASURE | {"marker": None}))
    with pytest.raises(ParametersInvalidError, match="marker_threshold"):
        read_parameters(bare, {"marker_threshold": 9})


def test_packages_of_masks_measure_them():
    whole = IhcCellsMeasure(output="seg", marker="marker", resolution="40x")
    assert cells_measures(["hema", "marker", "seg"], 0.25) == (whole,)
    assert cells_measures(["seg"], 0.5) == (IhcCellsMeasure(output="seg", resolution="20x"),)
    assert cells_measures(["marker"], 0.25) == ()
