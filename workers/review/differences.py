"""Why two results differ: what went in first, then what came out.

What cannot change a number (seconds, threads, where files lay, how a package was spelled) is told apart and counts for
nothing: the same result made elsewhere is the same.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workers.result import FilePart, FolderPart, Result

Section = Literal["slide", "package", "code", "configuration", "plan", "quality", "warnings", "scores", "files"]
Verdict = Literal["same", "same-outcome", "different"]

CAUSES: tuple[Section, ...] = ("slide", "package", "code", "configuration")
OUTCOMES: tuple[Section, ...] = ("warnings", "scores", "files")
INCIDENTAL = frozenset({"slide", "package", "out", "readers", "threads", "overwrite", "provider", "batch", "mpp"})
"""Of the configuration: what cannot change a byte, and what was asked for where the effect is told elsewhere (the
package's digest and provider, the batch's shape, the slide's mpp)."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same."""

    section: Section
    name: str
    a: Any
    b: Any
    change: float | None = None
    """b - a, of numbers."""


@dataclass(frozen=True)
class Comparison:
    """Two results side by side."""

    differences: tuple[Difference, ...]
    """What counts, causes first."""
    incidental: tuple[Difference, ...]
    """What differs and cannot change a number."""
    equal_scores: int
    """So many scores are the same."""

    @property
    def verdict(self) -> Verdict:
        """`same-outcome`: the same scores, warnings and files, made by something else."""
        if not self.differences:
            return "same"
        return "different" if self.of(*OUTCOMES) else "same-outcome"

    @property
    def unexplained(self) -> bool:
        """True where something else came out of what seems to be the same."""
        return self.verdict == "different" and not self.of(*CAUSES)

    def of(self, *sections: Section) -> tuple[Difference, ...]:
        """The differences of some sections."""
        return tuple(found for found in self.differences if found.section in sections)

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "verdict": self.verdict,
            "unexplained": self.unexplained,
            "equal_scores": self.equal_scores,
            "differences": [asdict(found) for found in self.differences],
            "incidental": [asdict(found) for found in self.incidental],
        }


def compare_results(a: Result, b: Result) -> Comparison:
    """What differs between two results, and what of it can be a cause."""
    chosen = list(_differing("configuration", _flat(_configuration(a)), _flat(_configuration(b))))
    differences = [
        *_differing("slide", _flat(a.slide.model_dump()), _flat(b.slide.model_dump())),
        *_differing("package", a.package.model_dump(), b.package.model_dump()),
        *_differing("code", _code(a, b), _code(b, a)),
        *(found for found in chosen if _top(found.name) not in INCIDENTAL),
        *_differing("plan", _flat(_plan(a)), _flat(_plan(b))),
        *_differing("quality", _flat(a.quality), _flat(b.quality)),
        *_warnings(a, b),
        *_differing("scores", _scores(a), _scores(b)),
        *_differing("files", _digests(a, b), _digests(b, a)),
    ]
    incidental = [
        *(found for found in chosen if _top(found.name) in INCIDENTAL),
        *_differing("plan", {"resumed": a.resumed, **_seconds(a)}, {"resumed": b.resumed, **_seconds(b)}),
    ]
    scores = _scores(a), _scores(b)
    equal = sum(name in scores[1] and scores[1][name] == value for name, value in scores[0].items())
    return Comparison(tuple(differences), tuple(incidental), equal)


def _differing(section: Section, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """What is not the same, in the order of `a`, then of `b`; what one does not have is None to it."""
    for name in dict.fromkeys([*a, *b]):
        first, second = a.get(name), b.get(name)
        if first != second:
            yield Difference(section, name, first, second, _change(first, second))


def _change(a: object, b: object) -> float | None:
    numbers = [value for value in (a, b) if isinstance(value, int | float) and not isinstance(value, bool)]
    return float(numbers[1] - numbers[0]) if len(numbers) == 2 else None


def _flat(value: object, name: str = "") -> dict[str, Any]:
    """Dotted names to values; lists of parts are taken apart too, by place, or by name where the parts have one."""
    if isinstance(value, Mapping):
        items: list[tuple[str, Any]] = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, Sequence) and any(isinstance(inner, Mapping) for inner in value):
        items = [(_label(inner, index), inner) for index, inner in enumerate(value)]
    else:
        return {name: value}
    found: dict[str, Any] = {}
    for key, inner in items:
        found |= _flat(inner, f"{name}.{key}" if name else key)
    return found


def _label(item: object, index: int) -> str:
    return str(item["name"]) if isinstance(item, Mapping) and "name" in item else str(index + 1)


def _top(name: str) -> str:
    return name.split(".", 1)[0]


def _configuration(result: Result) -> dict[str, Any]:
    """With the tile that was used, and a digest of each region: thousands of vertices side by side tell nothing."""
    regions = result.configuration.get("regions")
    features = regions.get("features", ()) if isinstance(regions, Mapping) else ()
    named = {f"regions.{_region_name(feature, index)}": _digest(feature) for index, feature in enumerate(features)}
    others = {key: value for key, value in result.configuration.items() if key != "regions"}
    return {**others, "tile_px": result.plan.tile_px, **named}


def _region_name(feature: object, index: int) -> str:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) else None
    return str(name or index + 1)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _plan(result: Result) -> dict[str, Any]:
    return {"frame": result.frame.model_dump(), **result.plan.model_dump(exclude={"tile_px"})}


def _scores(result: Result) -> dict[str, Any]:
    regions = {part.name: part.model_dump(exclude={"name"}) for part in result.regions}
    extra = {"regions": regions, "seam_scores": result.seam_scores}
    return _flat(result.scores) | _flat({key: value for key, value in extra.items() if value})


def _seconds(result: Result) -> dict[str, Any]:
    return {f"seconds.{name}": value for name, value in result.seconds.items()}


def _warnings(a: Result, b: Result) -> Iterator[Difference]:
    """Warnings that one result has and the other does not."""
    first, second = ([(w.slug, w.text) for w in result.warnings] for result in (a, b))
    for slug, text in dict.fromkeys([*first, *second]):
        in_a, in_b = (slug, text) in first, (slug, text) in second
        if in_a != in_b:
            yield Difference("warnings", slug, text if in_a else None, text if in_b else None)


def _code(result: Result, other: Result) -> dict[str, Any]:
    """The version that measured; where one of the two was scored anew, also that which computed the maps."""
    maps = {"maps": (result.rescored or result).code_version} if result.rescored or other.rescored else {}
    return {"version": result.code_version, **maps}


def _digests(result: Result, other: Result) -> dict[str, str]:
    """Where one of the two was scored anew: of the files that such a result has, as it leaves maps and pictures out."""
    parts: list[FilePart | FolderPart] = [*result.files, *result.folders]
    if other.rescored is not None and result.rescored is None:
        has = {part.path for part in other.files}
        parts = [part for part in parts if part.path in has]
    return {part.path: part.sha256 for part in parts}
