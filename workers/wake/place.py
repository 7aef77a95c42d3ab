"""A worker's place: what it is connected to, and how it gets at a slide."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlparse

import fsspec

from models.errors import InternalError, SlideUnreadableError
from workers.contract.doorbell import Doorbell, open_doorbell
from workers.contract.errors import LedgerAwayError
from workers.contract.settings import Settings
from workers.contract.store import Store, open_store
from workers.ledger import Ledger, open_ledger
from workers.ledger.slides import SlideRow

T = TypeVar("T")
PATIENCE_S = 600.0
STORE_SCHEME = "store:"


@dataclass(frozen=True, eq=False)
class Place:
    """The open parts of one worker process."""

    settings: Settings
    ledger: Ledger
    doorbell: Doorbell
    store: Store
    name: str

    def close(self) -> None:
        """Close what was opened."""
        self.ledger.close()
        self.doorbell.redis.close()


def open_place(settings: Settings) -> Place:
    """The parts that settings name."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    return Place(settings, open_ledger(settings.database), open_doorbell(settings), open_store(settings), name)


def patiently(act: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What `act` gives; while the database is away, it is tried again for some minutes.

    Raises
    ------
    LedgerAwayError
        It stayed away.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            return act()
        except LedgerAwayError:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)


def local_slide(place: Place, slide: SlideRow) -> Path:
    """The slide's bytes on this machine; brought here where the store is elsewhere.

    Raises
    ------
    SlideUnreadableError
        The place it was registered at does not hold it any more.
    StoreError
        The store does not give it.
    """
    if slide.uri.startswith(STORE_SCHEME):
        key = slide.uri.removeprefix(STORE_SCHEME)
        return place.store.local_path(key) or _cached(place, slide, lambda part: place.store.fetch(key, part))
    parsed = urlparse(slide.uri)
    if parsed.scheme == "file":
        path = Path(unquote(parsed.path))
        if not path.exists():
            raise SlideUnreadableError("The slide is no longer where it was registered.", "Register it again.")
        return path
    if parsed.scheme == "s3":
        return _cached(place, slide, lambda part: _fetch_remote(place, slide.uri, part))
    raise InternalError(f"A slide lies at {parsed.scheme}:, which no worker reads.")


def _cached(place: Place, slide: SlideRow, fetch: Callable[[Path], None]) -> Path:
    """A copy in the scratch folder that all workers of this machine share; it is whole or not there."""
    path = place.settings.scratch_folder / "slides" / slide.id
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{slide.id}.{os.getpid()}")
        try:
            fetch(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def _fetch_remote(place: Place, uri: str, path: Path) -> None:
    files, name = fsspec.core.url_to_fs(uri, **place.settings.store_options)
    try:
        files.get_file(name, str(path))
    except OSError as error:
        raise SlideUnreadableError("The slide is no longer where it was registered.", "Register it again.") from error
