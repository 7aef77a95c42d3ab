"""The service's problem documents as errors: the class that has the slug, or one made of the document."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import httpx

# Imported for its classes: a slug that is known here is raised as the class it has in the service.
import workers.contract.errors as _  # noqa: F401
from models.errors import HistoserveError, Reason, RefusedInputError

PREFIX = "urn:histoserve:"


class ServiceAwayError(HistoserveError):
    """The service does not answer, however often it is asked."""

    slug = "service-away"
    title = "The service does not answer"


class NoServiceError(RefusedInputError):
    """It is not known where the service is, or with which key."""

    slug = "no-service"
    title = "Which service, and with which key?"


class FileUnreadableError(RefusedInputError):
    """The file that was to be sent is not there, or may not be read."""

    slug = "file-unreadable"
    title = "The file cannot be read"


class FileChangedError(RefusedInputError):
    """The file changed while it was sent."""

    slug = "file-changed"
    title = "The file changed on the way"


def error_of(problem: Mapping[str, Any]) -> HistoserveError:
    """The error that a problem document tells of."""
    slug = str(problem.get("type", "")).removeprefix(PREFIX)
    title, detail = str(problem.get("title", "")), str(problem.get("detail", ""))
    blamed = problem.get("blame") == "user_error"
    kind = _known().get(slug) or _made(slug, title, blamed=blamed)
    error = kind(detail or title, str(problem.get("remedy") or ""))
    error.reasons = tuple(_reasons(problem.get("reasons")))
    return error


def _reasons(told: object) -> Iterator[Reason]:
    """The reasons of a problem document; what a newer service says more of them is left out."""
    for item in told if isinstance(told, list | tuple) else ():
        if isinstance(item, Mapping) and "slug" in item and "text" in item:
            yield Reason(
                slug=str(item["slug"]),
                text=str(item["text"]),
                value=item.get("value"),
                limit=item.get("limit"),
                forcible=item.get("forcible") is True,
            )


def error_of_answer(answer: httpx.Response) -> HistoserveError:
    """The error that an answer of 400 and above tells of; its body is read."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if isinstance(document, dict) and "title" in document:
        own = str(document.get("type", "")).startswith(PREFIX)
        return error_of(document if own else {**document, "type": f"{PREFIX}http-{answer.status_code}"})
    blame = "user_error" if answer.status_code < 500 else "system_error"
    title = f"The service answered {answer.status_code} {answer.reason_phrase}".strip()
    detail = f"{answer.request.method} {answer.request.url.path} was answered with {answer.status_code}."
    return error_of({"type": f"http-{answer.status_code}", "title": title, "detail": detail, "blame": blame})


def _made(slug: str, title: str, *, blamed: bool) -> type[HistoserveError]:
    """A class for a slug that has none here: a newer service, or an error of its HTTP edge alone."""
    parent = RefusedInputError if blamed else HistoserveError
    members = {"slug": slug or parent.slug, "title": title or parent.title, "__doc__": title}
    return type(parent.__name__, (parent,), members)


@cache
def _known() -> Mapping[str, type[HistoserveError]]:
    """Every class of errors by its slug; of two with one slug the first that was made."""
    found: dict[str, type[HistoserveError]] = {}
    for kind in _below(HistoserveError):
        if kind.__module__ in ("models.errors", "workers.contract.errors"):
            found.setdefault(kind.slug, kind)
    return found


def _below(kind: type[HistoserveError]) -> Iterator[type[HistoserveError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)
