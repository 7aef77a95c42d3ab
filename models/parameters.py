"""What a caller may set for a package: its own numbers, checked against one schema made from its manifest.

Schema and validation are one pydantic model, built from the manifest's measures with the bounds their fields have
there: the two cannot differ.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from models.errors import ParametersInvalidError
from models.manifest import Manifest
from models.measures_spec import CellsMeasure, IhcCellsMeasure, Measure, PointsMeasure
from models.tunables import CASCADES, Tunable, tunables_of

Parameters = dict[str, bool | int | float | None]
"""Canonical: only what differs from the package's own numbers, sorted by name. Nothing set is `{}`."""

FORCE = "force"
FORCE_TEXT = "Run in spite of a wrong stain, a blurred slide or too little tissue; the result says so, and by whom."
CASCADE = "cascade"


class _Slot(NamedTuple):
    """Where a parameter goes: a field of one of the manifest's measures."""

    measure: int
    """Its place in the manifest."""
    field: str
    tunable: Tunable


def measure_stems(manifest: Manifest) -> tuple[str, ...]:
    """The name of each measure in scores and files: its kind, with its place from the second of a kind on."""
    kinds = [measure.kind for measure in manifest.measures]
    return tuple(kind if kinds.index(kind) == index else f"{kind}-{index}" for index, kind in enumerate(kinds))


def parameters_schema(manifest: Manifest) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what a caller may set for a package, with the package's numbers as defaults."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_model(manifest).model_json_schema()}


def has_cascade(manifest: Manifest) -> bool:
    """True where a package may run as a cascade: all it measures are points that have a rule for it."""
    measures = manifest.measures
    return bool(measures) and all(
        isinstance(measure, PointsMeasure) and measure.cascade_threshold is not None for measure in measures
    )


def read_settings(settings: Iterable[str]) -> dict[str, Any]:
    """The parameters of NAME=VALUE texts; a value that is no JSON is text, for the package to refuse.

    Raises
    ------
    ParametersInvalidError
        A text has no value.
    """
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParametersInvalidError(f"--set {setting!r:.80} has no value.", "Write --set NAME=VALUE.")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def read_parameters(manifest: Manifest, values: Mapping[str, object]) -> Parameters:
    """What was set, in canonical form.

    Raises
    ------
    ParametersInvalidError
        A name is not the package's, or a value is not what its schema allows.
    """
    model = _model(manifest)
    try:
        read = model.model_validate({name: _whole(value) for name, value in values.items()})
    except ValidationError as error:
        raise _refusal(manifest, error) from error
    given: Parameters = read.model_dump()
    defaults = {name: field.default for name, field in model.model_fields.items()}
    parameters = {name: given[name] for name in sorted(given) if given[name] != defaults[name]}
    if parameters:
        _check_order(apply_parameters(manifest, parameters))
    return parameters


def apply_parameters(manifest: Manifest, parameters: Parameters) -> Manifest:
    """The manifest with its measures' numbers replaced by what was set."""
    measures = list(manifest.measures)
    for name, slot in _slots(manifest).items():
        if name in parameters:
            measures[slot.measure] = measures[slot.measure].model_copy(update={slot.field: parameters[name]})
    return manifest.model_copy(update={"measures": tuple(measures)})


def measure_parameters(manifest: Manifest) -> frozenset[str]:
    """The names of those that say how maps are measured: they can be changed without inference."""
    return frozenset(name for name, slot in _slots(manifest).items() if slot.field not in CASCADES)


def parameters_in_effect(manifest: Manifest, parameters: Parameters) -> Parameters:
    """Every parameter of the package with the value it has once `parameters` are set."""
    defaults = {name: field.default for name, field in _model(manifest).model_fields.items()}
    return {name: parameters.get(name, defaults[name]) for name in sorted(defaults)}


def _model(manifest: Manifest) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: _field(manifest.measures[slot.measure], slot) for name, slot in _slots(manifest).items()
    }
    if has_cascade(manifest):
        said = "Let the network compute only where a dark disc is; faster, and may miss detections of the whole map."
        fields[CASCADE] = (bool, Field(False, title="Cascade", description=said, strict=True))
    forced = Field(False, title="Force", description=FORCE_TEXT, strict=True)
    return create_model(
        "Parameters",
        __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, title=f"{manifest.reference}"),
        **{FORCE: (bool, forced)} | fields,
    )


def _field(measure: Measure, slot: _Slot) -> tuple[Any, Any]:
    own, default = type(measure).model_fields[slot.field], getattr(measure, slot.field)
    bounds, annotation = list(own.metadata), own.annotation
    if type(None) in get_args(annotation) and not slot.tunable.can_be_nothing:
        # What a package leaves away is no parameter of it, so none of its parameters can be nothing.
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if slot.tunable.most is not None:
        bounds.append(Field(le=max(slot.tunable.most, default)))
    kind: Any = Annotated[annotation, *bounds] if bounds else annotation
    return kind, Field(default, title=slot.tunable.title, description=slot.tunable.description)


def _slots(manifest: Manifest) -> dict[str, _Slot]:
    return dict(_named_slots(manifest))


def _named_slots(manifest: Manifest) -> Iterator[tuple[str, _Slot]]:
    kinds = [measure.kind for measure in manifest.measures]
    for index, (stem, measure) in enumerate(zip(measure_stems(manifest), manifest.measures, strict=True)):
        # A stem shows in a name only where the package has two of a kind.
        prefix = f"{stem.replace('-', '_')}_" if kinds.count(measure.kind) > 1 else ""
        for field, tunable in tunables_of(measure).items():
            if field in CASCADES and not has_cascade(manifest):
                continue
            yield prefix + field, _Slot(index, field, tunable)


def _whole(value: object) -> object:
    """20.0 is an integer to JSON Schema, and so it is here."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_order(manifest: Manifest) -> None:
    for measure in manifest.measures:
        if isinstance(measure, PointsMeasure) and (measure.theta1 or 0) > (measure.theta2 or 0):
            raise ParametersInvalidError(
                f"theta1 ({measure.theta1:g}) is above theta2 ({measure.theta2:g}).", "Set theta1 below theta2."
            )
        if isinstance(measure, IhcCellsMeasure) and measure.moderate_dab > measure.strong_dab:
            raise ParametersInvalidError(
                f"moderate_dab ({measure.moderate_dab:g}) is above strong_dab ({measure.strong_dab:g}).",
                "Set moderate_dab below strong_dab.",
            )
        if isinstance(measure, CellsMeasure) and measure.min_area_um2 > measure.max_area_um2:
            raise ParametersInvalidError(
                f"The smallest cell of {measure.min_area_um2:g} um2 is larger than the largest of "
                f"{measure.max_area_um2:g} um2.",
                "Set min_area_um2 below max_area_um2.",
            )


def _refusal(manifest: Manifest, error: ValidationError) -> ParametersInvalidError:
    first = error.errors(include_url=False)[0]
    name, fields = str(first["loc"][0]), parameters_schema(manifest)["properties"]
    if first["type"] == "extra_forbidden":
        return ParametersInvalidError(
            f"{manifest.reference} has no parameter {name!r:.80}.", f"It has {', '.join(sorted(fields))}."
        )
    return ParametersInvalidError(
        f"The parameter {name} cannot be {first['input']!r:.80}.", f"It takes {_allowed(fields[name])}."
    )


def _allowed(field: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least {:g}",
        "exclusiveMinimum": "more than {:g}",
        "maximum": "at most {:g}",
        "exclusiveMaximum": "less than {:g}",
    }
    kinds = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "null": "null"}
    forms = [
        ", ".join([kinds[form["type"]], *(text.format(form[key]) for key, text in words.items() if key in form)])
        for form in field.get("anyOf", (field,))
    ]
    return "; or ".join(forms)
