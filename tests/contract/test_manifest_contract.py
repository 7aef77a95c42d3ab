"""The manifest is a contract: packages written once must load for ever, and its schema is what is committed."""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from models.manifest import SCHEMA_VERSION, Manifest
from models.registry import ZOO, list_packages, scan_packages, verify_files
from models.schema import SCHEMA, manifest_schema

OLD = Path(__file__).parent / "data" / "manifest_v1.json"


def test_the_committed_schema_is_the_generated_one():
    assert SCHEMA.read_text("utf-8") == manifest_schema(), "run `make schema` and commit models/schema"


def test_a_manifest_of_the_first_release_still_loads():
    document = json.loads(OLD.read_text())
    manifest = Manifest.model_validate_json(OLD.read_text())
    assert manifest.reference == "old-nuclei@0.9.12"
    assert [o.stride_px for o in manifest.outputs] == [1, 4, 1]
    assert [m.kind for m in manifest.measures] == ["cells", "areas", "points"]
    assert manifest.file("calibrator").path == "calibrator.onnx"
    # Nothing a first manifest said is lost or read as something else.
    assert said_before(manifest.model_dump(mode="json"), document) == document


def said_before(written, document):
    """What is written without the fields that came later; each of those has a default that changes nothing."""
    if isinstance(document, dict):
        return {name: said_before(written[name], value) for name, value in document.items()}
    if isinstance(document, list) and len(written) == len(document):
        return [said_before(new, old) for new, old in zip(written, document, strict=True)]
    return written


def test_fields_that_came_later_do_nothing_where_they_are_not_given():
    manifest = Manifest.model_validate_json(OLD.read_text())
    _, areas, points = manifest.measures
    assert (manifest.seen, areas.positive, areas.negative, points.hotspot_mm2) == (None, None, None, None)


def test_a_package_is_known_by_its_manifest_s_bytes_whatever_fields_came_later():
    for package in list_packages((ZOO,)):
        data = (package.folder / "model.json").read_bytes()
        assert package.manifest_sha256 == hashlib.sha256(data).hexdigest()


def test_the_schema_takes_what_we_take():
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(OLD.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(OLD.read_text()) | {"surprise": 1}, schema)


def test_a_later_schema_version_is_not_guessed_at():
    document = json.loads(OLD.read_text()) | {"schema_version": SCHEMA_VERSION + 1}
    with pytest.raises(ValueError, match="schema_version"):
        Manifest.model_validate(document)


def test_the_bundled_packages_are_whole():
    _, broken = scan_packages((ZOO,))
    assert broken == ()
    packages = list_packages((ZOO,))
    for package in packages:
        verify_files(package)
        assert package.manifest.licence
        assert package.manifest.file("card") is not None
        assert package.manifest.file("golden-output") is not None


def test_every_field_is_in_the_documentation():
    text = (Path(__file__).resolve().parents[2] / "docs" / "packages.md").read_text("utf-8")
    schema = json.loads(manifest_schema())
    parts = [schema, *schema["$defs"].values()]
    fields = {name for part in parts for name in part.get("properties", {})} - {"kind"}
    missing = sorted(name for name in fields if f"`{name}" not in text and f".{name}" not in text)
    assert missing == []
