"""Which words of a file may leave it: technical ones on a list, in a shape that can hold no sentence."""

import re
from collections.abc import Mapping

MAX_CHARS = 64
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()/+-]*")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")
ALLOWED = ("scanner", "manufacturer", "software", "illumination", "aperture")
"""The only technical fields a slide's description carries; serial numbers, dates, names and comments are not on it."""


def technical_fields(found: Mapping[str, object]) -> dict[str, str]:
    """The allowed fields of `found` whose value is a short plain word or number.

    A value that is longer than 64 characters, holds a date, or any sign beyond letters, digits and ` ._()/+-` is left
    out whole: a part of it could still be a name.
    """
    kept = {}
    for name in ALLOWED:
        value = str(found.get(name) or "").strip()
        if len(value) <= MAX_CHARS and _PLAIN.fullmatch(value) and not _DATE.search(value):
            kept[name] = value
    return kept
