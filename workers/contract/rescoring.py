"""What service and engine agree on about new scores of an earlier result: whether it can have any, and with what."""

from collections.abc import Iterable, Mapping

from models.errors import ParametersInvalidError
from models.manifest import Manifest
from models.parameters import Parameters, measure_parameters, read_parameters
from workers.contract.errors import NotRescorableError
from workers.result import ANALYSED_NAME

AGAIN = "Run the slide again; from then on its result can be scored anew."


def choose_parameters(manifest: Manifest, before: Mapping[str, object], settings: Mapping[str, object]) -> Parameters:
    """The parameters a result was made with, `settings` over them, in canonical form.

    Raises
    ------
    ParametersInvalidError
        A name is not the package's, or says how maps are computed; or a value is not what its schema allows.
    """
    known = measure_parameters(manifest)
    # What the package does not know at all is refused in the words of its own schema.
    read_parameters(manifest, settings)
    if computed := sorted(set(settings) - known):
        raise ParametersInvalidError(
            f"{', '.join(computed)} says how maps are computed, not how they are measured: that takes a run.",
            f"New scores take {', '.join(sorted(known)) or 'no parameter of this package'}.",
        )
    return read_parameters(manifest, {**before, **settings})


def check_files(paths: Iterable[str]) -> None:
    """Refuse a result that does not hold what new scores need.

    Raises
    ------
    NotRescorableError
        It was made before results kept which tissue was analysed.
    """
    if ANALYSED_NAME not in paths:
        raise NotRescorableError(f"The result holds no {ANALYSED_NAME}: it is of an older version.", AGAIN)


def check_package(reference: str, manifest_sha256: str, made_with: str) -> None:
    """Refuse another package than the one that was run.

    Raises
    ------
    NotRescorableError
        The digests of the manifests differ.
    """
    if manifest_sha256 != made_with:
        raise NotRescorableError(
            f"{reference} here is not the package that was run: its manifest is {manifest_sha256[:12]}…, not "
            f"{made_with[:12]}….",
            "Score it where that package is, or run the slide again.",
        )
