"""Regions of interest as callers send them: GeoJSON polygons in level-0 px, checked whole and put in one form."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import RegionsInvalidError

MAX_REGIONS = 100
MAX_VERTICES = 10_000
"""In all regions together, without the points that close their rings."""
MIN_RING_POINTS = 4

LARGEST_PX = 1e9
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST_PX, le=LARGEST_PX)]
Ring = tuple[tuple[Number, Number], ...]
Rings = Annotated[tuple[Ring, ...], Field(min_length=1)]
"""The outer ring of a polygon, then its holes."""


class _GeoJson(BaseModel):
    """A GeoJSON object; members it does not need (`id`, `bbox`, other properties) are dropped."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class PolygonShape(_GeoJson):
    """One polygon."""

    type: Literal["Polygon"]
    coordinates: Rings

    @property
    def polygons(self) -> tuple[Rings, ...]:
        """Its rings, as the only polygon."""
        return (self.coordinates,)


class MultiPolygonShape(_GeoJson):
    """Several polygons that are one region."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[tuple[Rings, ...], Field(min_length=1)]

    @property
    def polygons(self) -> tuple[Rings, ...]:
        """The rings of each polygon."""
        return self.coordinates


class RegionProperties(_GeoJson):
    """What is said of a region."""

    name: Annotated[str | None, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")] = None


class Region(_GeoJson):
    """A named region."""

    type: Literal["Feature"] = "Feature"
    geometry: Annotated[PolygonShape | MultiPolygonShape, Field(discriminator="type")]
    properties: RegionProperties | None = None

    @property
    def name(self) -> str:
        """What the region is called in the result."""
        return (self.properties and self.properties.name) or ""

    def rings(self) -> Iterator[Ring]:
        """Every ring of the region, closed."""
        return (ring for polygon in self.geometry.polygons for ring in polygon)


class Regions(_GeoJson):
    """The regions of a run, each with a name of its own. Made by `read_regions`."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: Annotated[tuple[Region, ...], Field(min_length=1, max_length=MAX_REGIONS)]

    @property
    def digest(self) -> str:
        """SHA-256 of the regions' one form."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read_geojson(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises
    ------
    RegionsInvalidError
        There is none.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RegionsInvalidError(f"{path.name} cannot be read as GeoJSON.", "Give a GeoJSON file.") from error
    if not isinstance(document, dict):
        raise RegionsInvalidError(f"{path.name} is no GeoJSON object.", "Give a GeoJSON file.")
    return document


def read_regions(document: object) -> Regions:
    """The regions in a GeoJSON document: a FeatureCollection, a Feature, a Polygon or a MultiPolygon.

    A region without a name is called `region-1`, `region-2`, … by its place.

    Raises
    ------
    RegionsInvalidError
        It is none of these, too large, a ring is not closed or has no area, or two regions have one name.
    """
    try:
        read = Regions.model_validate(_collection(document))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RegionsInvalidError(f"The regions are no GeoJSON polygons: {place}: {first['msg']}.", _FORM) from error
    vertices = sum(len(ring) - 1 for region in read.features for ring in region.rings())
    if vertices > MAX_VERTICES:
        raise RegionsInvalidError(
            f"The regions have {vertices} vertices; at most {MAX_VERTICES} are taken.", "Simplify their outlines."
        )
    named = tuple(_named(region, number) for number, region in enumerate(read.features, start=1))
    _check_names(named)
    for region in named:
        _check_rings(region)
    return Regions(features=named)


_FORM = f"Send a FeatureCollection of at most {MAX_REGIONS} Polygons or MultiPolygons, [x, y] in level-0 px."


def _collection(document: object) -> dict[str, Any]:
    kind = document.get("type") if isinstance(document, dict) else None
    if kind == "FeatureCollection":
        return dict(document)  # type: ignore[call-overload,no-any-return]  # a dict, as `kind` says
    if kind == "Feature":
        return {"type": "FeatureCollection", "features": [document]}
    if kind in ("Polygon", "MultiPolygon"):
        return {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": document}]}
    raise RegionsInvalidError(f"The regions have the type {kind!r:.40}.", _FORM)


def _named(region: Region, number: int) -> Region:
    name = region.name.strip() or f"region-{number}"
    return region.model_copy(update={"properties": RegionProperties(name=name)})


def _check_names(regions: tuple[Region, ...]) -> None:
    names = [region.name for region in regions]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RegionsInvalidError(
            f"Two regions are called {twice!r}.", "Give each its own name, or make one MultiPolygon of them."
        )


def _check_rings(region: Region) -> None:
    for ring in region.rings():
        if len(ring) < MIN_RING_POINTS or ring[0] != ring[-1] or len(set(ring)) < MIN_RING_POINTS - 1:
            raise RegionsInvalidError(
                f"A ring of the region {region.name!r} has {len(ring)} points, {len(set(ring))} of them distinct, and "
                f"is {'' if ring and ring[0] == ring[-1] else 'not '}closed.",
                "A ring has at least three distinct points, and ends with the one it begins with.",
            )
