"""`python -m workers.schema` writes the JSON Schema of `result.json`, for those who read results without Python."""

import json
from pathlib import Path

from workers.result import Result

SCHEMA = Path(__file__).resolve().parent.parent / "docs" / "schema" / "result-1.json"


def result_schema() -> str:
    """The JSON Schema (2020-12) of `result.json`, as the text of a file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Result.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.parent.mkdir(parents=True, exist_ok=True)
    SCHEMA.write_text(result_schema(), encoding="utf-8")
