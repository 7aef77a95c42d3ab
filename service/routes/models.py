"""Model packages: what can be run, on what, and how it can be set."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import PlainTextResponse

from models.manifest import Manifest
from models.parameters import parameters_schema
from models.registry import Package, list_packages, resolve
from service.access import Reader
from service.problems import tells
from service.wire import MetricTold, ModelList, ModelTold
from workers.contract.errors import UnknownError

router = APIRouter(prefix="/v1", tags=["models"])

Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Version = Annotated[str, Path(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]


@router.get("/models", summary="List the model packages", responses=tells())
def list_models(caller: Reader) -> ModelList:
    """Every package that is installed, by name and version."""
    return ModelList(items=tuple(tell_model(package) for package in list_packages()))


@router.get("/models/{name}/versions/{version}", summary="Show a model package", responses=tells(404))
def show_model(caller: Reader, name: Name, version: Version) -> ModelTold:
    """One version of one package, with the schema of its parameters."""
    return tell_model(resolve(f"{name}@{version}"))


@router.get(
    "/models/{name}/versions/{version}/card",
    summary="Read a package's card",
    response_class=PlainTextResponse,
    responses={**tells(404), 200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
def read_card(caller: Reader, name: Name, version: Version) -> PlainTextResponse:
    """What the package was trained on, what it reaches, and what it must not be used for, as Markdown."""
    package = resolve(f"{name}@{version}")
    card = package.manifest.file("card")
    if card is None:
        raise UnknownError(f"{package.manifest.reference} has no card.")
    text = (package.folder / card.path).read_text(encoding="utf-8")
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


def tell_model(package: Package) -> ModelTold:
    """A package as it is told."""
    manifest: Manifest = package.manifest
    return ModelTold(
        reference=manifest.reference,
        name=manifest.name,
        version=manifest.version,
        title=manifest.title,
        analysis=manifest.analysis,
        task=manifest.task,
        stain=manifest.stain,
        mpp=manifest.grid.mpp,
        mpp_min=manifest.grid.mpp_min,
        mpp_max=manifest.grid.mpp_max,
        manifest_sha256=package.manifest_sha256,
        licence=manifest.licence,
        intended_use=manifest.intended_use,
        not_for=manifest.not_for,
        parameters=parameters_schema(manifest),
        metrics=tuple(MetricTold(**metric.model_dump()) for metric in manifest.metrics),
    )
