"""The errors of histoserve: one class per thing that can go wrong, each with a slug a program can match on.

An error is for the caller: what was wrong, with the number, and what to do about it. It never carries an HTTP status
(one table in the service maps slugs to those), a patient's data or a server's path.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

Blame = Literal["user_error", "system_error"]


@dataclass(frozen=True)
class Reason:
    """One of the things that speak against working on a slide: what was measured, and what it was held against."""

    slug: str
    text: str
    value: float | str | None = None
    limit: float | str | None = None
    forcible: bool = False
    """True where a run may be forced in spite of it."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class HistoserveError(Exception):
    """A failure the caller is told of: a slug, a title, a detail with the number, and a remedy."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong inside histoserve"
    blame: ClassVar[Blame] = "system_error"

    def __init__(self, detail: str, remedy: str = "", reasons: Sequence[Reason] = ()) -> None:
        super().__init__(f"{detail} {remedy}".strip())
        self.detail = detail
        self.remedy = remedy
        self.reasons = tuple(reasons)

    def as_problem(self) -> dict[str, Any]:
        """RFC 9457 members of this error, without a status; `reasons` where there are some."""
        problem: dict[str, Any] = {
            "type": f"urn:histoserve:{self.slug}",
            "title": self.title,
            "detail": self.detail,
            "blame": self.blame,
        }
        problem |= {"remedy": self.remedy} if self.remedy else {}
        return problem | ({"reasons": [reason.as_dict() for reason in self.reasons]} if self.reasons else {})


class RefusedInputError(HistoserveError):
    """The caller's input cannot be worked on truthfully; the CLI exits with 2."""

    slug = "refused-input"
    title = "The input was refused"
    blame = "user_error"


class SlideUnreadableError(RefusedInputError):
    """The file is no slide we can read truthfully: unknown, truncated, corrupt."""

    slug = "slide-unreadable"
    title = "The slide cannot be read"


class SlideUnsupportedError(RefusedInputError):
    """The file is sound but not what we analyse: fluorescence, not RGB, a format without a reader here."""

    slug = "slide-unsupported"
    title = "This kind of slide is not supported"


class SlideAbsurdError(RefusedInputError):
    """The header claims sizes no slide has, or loops: a bomb or a broken file."""

    slug = "slide-absurd"
    title = "The slide's header claims what cannot be"


class MppMissingError(RefusedInputError):
    """The slide does not say how large its pixels are."""

    slug = "mpp-missing"
    title = "The slide does not state its resolution"


class MppOutOfRangeError(RefusedInputError):
    """The slide's resolution is implausible, or outside of what the package accepts."""

    slug = "mpp-out-of-range"
    title = "The slide's resolution is out of range"


class NotScorableError(HistoserveError):
    """The slide was read, but no number can be defended for it; the CLI exits with 3."""

    slug = "not-scorable"
    title = "The slide cannot be scored"
    blame = "user_error"


class WrongStainError(NotScorableError):
    """The slide does not look like the stain the package was made for."""

    slug = "wrong-stain"
    title = "The stain is not the package's"


class NoTissueError(NotScorableError):
    """Nothing on the slide looks like tissue."""

    slug = "no-tissue"
    title = "No tissue was found"


class OutOfFocusError(NotScorableError):
    """Most of the tissue is blurred."""

    slug = "out-of-focus"
    title = "The slide is out of focus"


class LittleTissueError(NotScorableError):
    """There is tissue, but too little for a number."""

    slug = "little-tissue"
    title = "There is too little tissue"


class TooFewCellsError(NotScorableError):
    """So few cells were found that no share of them can be defended."""

    slug = "too-few-cells"
    title = "Too few cells were found"


class CellsNotSeparateError(NotScorableError):
    """Most of a mask of cells is groups that cannot be told apart: what can is no sample of them."""

    slug = "cells-not-separate"
    title = "The cells are not separate"


class PackageUnknownError(RefusedInputError):
    """No package of that name and version is installed."""

    slug = "model-unknown"
    title = "No such model package"


class PackageInvalidError(RefusedInputError):
    """The folder is no valid model package, or holds something we cannot run."""

    slug = "model-invalid"
    title = "The model package is not valid"


class ParametersInvalidError(RefusedInputError):
    """A parameter is not one of the package's, or has a value it cannot have."""

    slug = "parameters-invalid"
    title = "The parameters are not valid"


class RegionsInvalidError(RefusedInputError):
    """The regions of interest are no polygons we can count in, or do not lie on the slide."""

    slug = "regions-invalid"
    title = "The regions are not valid"


class PackageTamperedError(HistoserveError):
    """A file of the package is not the one its manifest names."""

    slug = "model-tampered"
    title = "The model package was altered"


class GoldenMismatchError(HistoserveError):
    """The network does not give the answer recorded with it: it must not be used on this machine."""

    slug = "model-golden-mismatch"
    title = "The network does not reproduce its golden tile"


class ProviderUnavailableError(HistoserveError):
    """The runtime provider that was asked for does not run here."""

    slug = "provider-unavailable"
    title = "The requested provider is not available"


class OutputConflictError(RefusedInputError):
    """The output folder holds the work of another run."""

    slug = "output-conflict"
    title = "The output folder belongs to another run"


class IntegrityError(HistoserveError):
    """A file of a result is not the one that was written."""

    slug = "integrity"
    title = "A result file was altered"


class InternalError(HistoserveError):
    """A state that should not be reachable was reached."""
