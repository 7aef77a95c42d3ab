"""`python -m models.schema` writes the manifest's JSON Schema, for those who check packages without Python."""

import json
from pathlib import Path

from models.manifest import SCHEMA_VERSION, Manifest

SCHEMA = Path(__file__).resolve().parent / "schema" / f"manifest-{SCHEMA_VERSION}.json"


def manifest_schema() -> str:
    """The JSON Schema (2020-12) of `model.json`, as the text of a file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA) -> Path:
    """The file the schema was written to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(manifest_schema(), encoding="utf-8")
    return path


if __name__ == "__main__":
    write_schema()
