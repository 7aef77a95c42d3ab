"""Where the service is, and the key that opens it."""

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from service.client.errors import NoServiceError
from workers.contract.settings import Settings

REMEDY = "Start `histoserve up`, or set HISTOSERVE_URL and HISTOSERVE_KEY."


@dataclass(frozen=True)
class Place:
    """A service and the key for it."""

    url: str
    key: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """True for this machine's loopback, which no proxy reaches."""
        host = httpx.URL(self.url).host
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def find_place(url: str | None = None, key: str | None = None) -> Place:
    """The service that is meant: what is given, then HISTOSERVE_URL and HISTOSERVE_KEY, then the key file of `up`.

    The key of the key file goes to the service it was made for, never to another.

    Raises
    ------
    NoServiceError
        No URL or no key was found.
    """
    url = url or os.environ.get("HISTOSERVE_URL") or None
    key = key or os.environ.get("HISTOSERVE_KEY") or None
    if url is None or key is None:
        kept = _kept()
        if url is None:
            url = kept.get("url")
        if key is None and url is not None and _is_same(url, kept.get("url")):
            key = kept.get("key")
    if url is None:
        raise NoServiceError("No service is named, and no `histoserve up` left its key file here.", REMEDY)
    if not url.startswith(("http://", "https://")):
        raise NoServiceError(f"{url!r:.200} is no http: or https: URL.", REMEDY)
    if key is None:
        raise NoServiceError(
            f"There is no API key for {url}.", "Set HISTOSERVE_KEY; `histoserve keys create` makes one."
        )
    return Place(url.rstrip("/"), key)


def _kept() -> Mapping[str, str]:
    """What `histoserve up` left on this machine, if it did."""
    try:
        document = json.loads(Settings().key_file.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_same(url: str, other: str | None) -> bool:
    return other is not None and url.rstrip("/") == other.rstrip("/")
