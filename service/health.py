"""Is the service able to work: one reason for everything that is not as it should be."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from models.errors import HistoserveError, PackageTamperedError
from models.registry import MANIFEST_NAME, Package, scan_packages, verify_files
from service.deployment import Deployment
from service.wire import Reason
from workers.ledger import newest_version
from workers.ledger.audit import Entry, add_entries
from workers.ledger.database import applied_version
from workers.ledger.seats import Seat, list_seats

SEEN_WITHIN_S = 60.0
Severity = Literal["fails", "degrades"]


class PackageWatch:
    """Remembers which packages were found sound, so that their files are read again only when they change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple[tuple[str, int, int], ...], str | None]] = {}

    def look(self, package: Package) -> tuple[str | None, bool]:
        """(what is wrong with a package or None, whether that is news)."""
        marks = tuple(
            _mark(package.folder / name) for name in (MANIFEST_NAME, *(f.path for f in package.manifest.files))
        )
        with self._lock:
            known = self._known.get(package.folder)
            if known is not None and known[0] == marks:
                return known[1], False
            try:
                verify_files(package)
                wrong = None
            except PackageTamperedError as error:
                wrong = error.detail
            self._known[package.folder] = (marks, wrong)
            return wrong, wrong is not None

    def forget(self, package: Package) -> None:
        """What was found wrong with the package is news again: it could not be written down."""
        with self._lock:
            self._known.pop(package.folder, None)


def find_reasons(deployment: Deployment, watch: PackageWatch) -> tuple[list[Reason], list[Seat]]:
    """(what is not as it should be, the workers that are there)."""
    reasons, seats = [], list[Seat]()
    try:
        seats = _check_ledger(deployment)
    except HistoserveError as error:
        reasons.append(Reason(part="ledger", severity="fails", slug=error.slug, detail=error.detail))
    try:
        deployment.store.check()
    except HistoserveError as error:
        reasons.append(Reason(part="store", severity="fails", slug=error.slug, detail=error.detail))
    if not deployment.doorbell.is_there():
        detail = "Redis does not answer; jobs are accepted and rung for when it is back."
        reasons.append(Reason(part="redis", severity="degrades", slug="redis-away", detail=detail))
    if not seats:
        reasons.append(_no_workers())
    free, reserve = shutil.disk_usage(deployment.settings.home).free, deployment.settings.reserve_bytes
    if free < reserve:
        detail = f"{free} bytes are free on the service's disk; {reserve} are kept in reserve."
        reasons.append(Reason(part="disk", severity="fails", slug="disk-full", detail=detail))
    return [*reasons, *_check_packages(deployment, watch)], seats


def _no_workers() -> Reason:
    detail = f"No worker was seen in the last {SEEN_WITHIN_S:g} s; jobs wait."
    return Reason(part="workers", severity="degrades", slug="no-workers", detail=detail)


def _check_ledger(deployment: Deployment) -> list[Seat]:
    with deployment.ledger.read() as connection:
        found, wanted = applied_version(connection), newest_version()
        if found != wanted:
            raise HistoserveError(f"The database is at revision {found}; this version works with {wanted}.")
        return list(list_seats(connection, SEEN_WITHIN_S))


def _check_packages(deployment: Deployment, watch: PackageWatch) -> Iterator[Reason]:
    packages, broken = scan_packages()
    for error in broken:
        yield Reason(part="models", severity="degrades", slug=error.slug, detail=error.detail)
    for package in packages:
        wrong, is_news = watch.look(package)
        if wrong is None:
            continue
        if is_news:
            _write_down(deployment, watch, package, wrong)
        yield Reason(part="models", severity="fails", slug=PackageTamperedError.slug, detail=wrong)


def _write_down(deployment: Deployment, watch: PackageWatch, package: Package, wrong: str) -> None:
    entry = Entry(None, None, "model.tampered", package.manifest.reference, 503, {"detail": wrong})
    try:
        with deployment.ledger.write() as connection:
            add_entries(connection, [entry])
    except HistoserveError:
        # The ledger is away, which is a reason of its own; once it is back this is written.
        watch.forget(package)


def _mark(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return path.name, -1, -1
    return path.name, found.st_size, found.st_mtime_ns
