"""The published schema of `result.json` is the one the code writes."""

import json

import jsonschema
import pytest

from tests.unit.review.made import result_fields
from workers.result import Result
from workers.schema import SCHEMA, result_schema


def test_the_committed_schema_is_the_generated_one() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == result_schema(), "run `make schema`"


def test_the_schema_is_valid_and_closed() -> None:
    schema = json.loads(result_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(Result.model_fields)
    assert all(part.get("additionalProperties") is False for part in schema["$defs"].values())


def test_grades_and_hotspots_have_one_published_form() -> None:
    schema = json.loads(result_schema())
    graded = {"points": {"count": 1, "grade": {"grade": 1, "proliferation_score": 0.5, "theta1": 6, "theta2": 20}}}
    jsonschema.validate(result_fields(scores=graded), schema)
    for wrong in ({"grade": 4}, graded["points"]["grade"] | {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(result_fields(scores={"points": {"grade": wrong}}), schema)
