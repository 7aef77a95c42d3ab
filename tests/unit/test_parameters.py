"""What may be set for a package: one model for schema and check, refusals that name the field, one canonical form."""

import math

import jsonschema
import pytest

from models.errors import ParametersInvalidError
from models.manifest import Manifest
from models.measures_spec import AreasMeasure, CellsMeasure, PointsMeasure
from models.parameters import (
    apply_parameters,
    measure_stems,
    parameters_in_effect,
    parameters_schema,
    read_parameters,
)
from tests.toy_predictor import toy_manifest

CELLS = CellsMeasure(output="out", interior="dark", grow_px=2, min_area_um2=9, max_area_um2=800)
POINTS = PointsMeasure(output="out", component_threshold=0.3, detection_threshold=0.6, min_distance_um=5, label="spot")


def manifest_of(*measures: CellsMeasure | AreasMeasure | PointsMeasure) -> Manifest:
    return toy_manifest(kind="classes").model_copy(update={"measures": measures})


ONE_OF_EACH = manifest_of(CELLS, AreasMeasure(output="out"), POINTS)
TWO_OF_A_KIND = manifest_of(CELLS, POINTS, CELLS)

NAMES = ["component_threshold", "detection_threshold", "force", "grow_px", "max_area_um2", "min_area_um2"]
REFUSED = {
    "unknown": ({"min_area": 5}, "min_area"),
    "another kind's": ({"label": "x"}, "label"),
    "too low": ({"min_area_um2": -1}, "at least 0"),
    "not above its bound": ({"max_area_um2": 0}, "more than 0"),
    "too high": ({"grow_px": 33}, "at most 32"),
    "as large as a slide": ({"max_area_um2": 1e9}, "at most 100000"),
    "at its open bound": ({"detection_threshold": 1}, "less than 1"),
    "text": ({"grow_px": "3"}, "'3'"),
    "truth for a number": ({"grow_px": True}, "True"),
    "number for truth": ({"force": 1}, "true or false"),
    "half of a px": ({"grow_px": 1.5}, "1.5"),
    "no number": ({"min_area_um2": math.nan}, "nan"),
    "no end": ({"min_distance_um": math.inf}, "inf"),
    "nothing": ({"min_area_um2": None}, "None"),
    "a list": ({"min_area_um2": [1]}, "[1]"),
    "smallest above largest": ({"min_area_um2": 900}, "900 um2 is larger than the largest of 800 um2"),
}


@pytest.mark.parametrize(("values", "said"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_the_field_its_value_and_what_is_allowed(values: dict, said: str) -> None:
    with pytest.raises(ParametersInvalidError) as refused:
        read_parameters(ONE_OF_EACH, values)
    assert said in str(refused.value)
    assert next(iter(values)) in str(refused.value)
    assert refused.value.slug == "parameters-invalid"
    assert refused.value.remedy


BY_SCHEMA = [name for name in REFUSED if name not in {"no number", "no end", "smallest above largest"}]
"""JSON has no such numbers, and JSON Schema does not compare fields."""


@pytest.mark.parametrize("values", [REFUSED[name][0] for name in BY_SCHEMA], ids=BY_SCHEMA)
def test_the_schema_refuses_what_the_check_refuses(values: dict) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, parameters_schema(ONE_OF_EACH), jsonschema.Draft202012Validator)


def test_the_schema_is_valid_closed_and_says_what_each_number_is() -> None:
    schema = parameters_schema(ONE_OF_EACH)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert sorted(schema["properties"]) == sorted([*NAMES, "min_distance_um", "outlines_mm2"])
    assert schema["properties"]["min_area_um2"]["default"] == 9
    for name, field in schema["properties"].items():
        assert field["title"]
        unit = next((unit for unit in ("um2", "px", "um") if name.endswith(f"_{unit}")), None)
        assert field["description"].startswith(unit or "")
    defaults = {name: field["default"] for name, field in schema["properties"].items()}
    jsonschema.validate(defaults, schema)


def test_defaults_spelled_out_are_the_same_as_nothing() -> None:
    schema = parameters_schema(ONE_OF_EACH)
    assert read_parameters(ONE_OF_EACH, {}) == {}
    assert read_parameters(ONE_OF_EACH, {name: f["default"] for name, f in schema["properties"].items()}) == {}
    assert apply_parameters(ONE_OF_EACH, {}) == ONE_OF_EACH


def test_the_canonical_form_is_sorted_and_of_the_field_s_own_type() -> None:
    read = read_parameters(ONE_OF_EACH, {"min_area_um2": 12, "grow_px": 3.0, "force": True})
    assert list(read.items()) == [("force", True), ("grow_px", 3), ("min_area_um2", 12.0)]
    assert [type(value) for value in read.values()] == [bool, int, float]
    assert read_parameters(ONE_OF_EACH, read) == read


def test_what_was_set_is_in_the_measures_and_nothing_else_changes() -> None:
    applied = apply_parameters(ONE_OF_EACH, {"force": True, "min_area_um2": 12.0, "detection_threshold": 0.7})
    cells, areas, points = applied.measures
    assert cells == CELLS.model_copy(update={"min_area_um2": 12.0})
    assert points == POINTS.model_copy(update={"detection_threshold": 0.7})
    assert areas == ONE_OF_EACH.measures[1]
    assert applied.model_copy(update={"measures": ONE_OF_EACH.measures}) == ONE_OF_EACH


def test_of_two_of_a_kind_each_is_set_by_its_own_name() -> None:
    assert measure_stems(TWO_OF_A_KIND) == ("cells", "points", "cells-2")
    read = read_parameters(TWO_OF_A_KIND, {"cells_grow_px": 1, "cells_2_grow_px": 4, "min_distance_um": 6})
    first, points, second = apply_parameters(TWO_OF_A_KIND, read).measures
    assert (first.grow_px, second.grow_px, points.min_distance_um) == (1, 4, 6)
    with pytest.raises(ParametersInvalidError, match="cells_2_grow_px"):
        read_parameters(TWO_OF_A_KIND, {"grow_px": 1})


def test_a_package_s_own_number_may_lie_above_what_a_caller_may_set() -> None:
    manifest = manifest_of(CELLS.model_copy(update={"max_area_um2": 1e6}))
    assert parameters_schema(manifest)["properties"]["max_area_um2"]["maximum"] == 1e6
    assert read_parameters(manifest, {"max_area_um2": 1e6}) == {}


def test_what_is_in_effect_is_every_parameter() -> None:
    applied = apply_parameters(manifest_of(CELLS), {"grow_px": 0})
    told = parameters_in_effect(applied, {"force": True, "grow_px": 0})
    assert told == {"force": True, "grow_px": 0, "max_area_um2": 800.0, "min_area_um2": 9.0}


GRADED = POINTS.model_copy(update={"hotspot_mm2": 2.0, "theta1": 6.0, "theta2": 20.0})


def test_hotspots_and_grades_are_parameters_only_of_packages_that_have_them() -> None:
    plain, spotted = manifest_of(POINTS), manifest_of(POINTS.model_copy(update={"hotspot_mm2": 2.0}))
    names = [set(parameters_schema(manifest)["properties"]) for manifest in (plain, spotted, manifest_of(GRADED))]
    assert names[1] - names[0] == {"hotspots"}
    assert names[2] - names[1] == {"theta1", "theta2"}
    field = parameters_schema(manifest_of(GRADED))["properties"]["theta1"]
    assert (field["type"], field["default"], field["minimum"]) == ("number", 6.0, 0)


def test_thresholds_of_grades_stay_in_order_and_are_numbers() -> None:
    manifest = manifest_of(GRADED)
    read = read_parameters(manifest, {"theta1": 3, "theta2": 20, "hotspots": 5})
    assert read == {"hotspots": 5, "theta1": 3.0}
    (points,) = apply_parameters(manifest, read).measures
    assert (points.theta1, points.theta2, points.hotspots) == (3.0, 20.0, 5)
    for values, said in (({"theta1": 21}, "above theta2"), ({"theta2": None}, "None"), ({"hotspots": 0}, "at least 1")):
        with pytest.raises(ParametersInvalidError, match=said):
            read_parameters(manifest, values)


def test_areas_have_parameters_where_two_classes_are_named() -> None:
    named = AreasMeasure(output="out", positive="dark", negative="bright")
    plain = set(parameters_schema(manifest_of(AreasMeasure(output="out")))["properties"])
    names = set(parameters_schema(manifest_of(named))["properties"])
    assert names - plain == {"field_mm2", "fields", "block_um", "heat_um", "seed"}
    read = read_parameters(manifest_of(named), {"field_mm2": 1, "fields": 3, "seed": 7})
    assert read == {"field_mm2": 1.0, "seed": 7}
    for values in ({"field_mm2": 0.01}, {"fields": 0}, {"block_um": 10}, {"seed": -1}):
        with pytest.raises(ParametersInvalidError, match="at least"):
            read_parameters(manifest_of(named), values)
