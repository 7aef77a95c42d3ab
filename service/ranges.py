"""One range of bytes of a file (RFC 9110): what was asked for, as [start, stop)."""

import re

from models.errors import RefusedInputError

ONE_RANGE = re.compile(r"^bytes=([0-9]{0,18})-([0-9]{0,18})$")


class RangeNotSatisfiableError(RefusedInputError):
    """The range begins behind the end of the file."""

    slug = "range-not-satisfiable"
    title = "The range lies outside of the file"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The file has {size_bytes} bytes.", "Ask for a range within it.")
        self.size_bytes = size_bytes


def read_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """The bytes [start, stop) that a Range header asks for; None where the whole file is to be sent.

    Several ranges, other units and what is no range are answered with the whole file, as RFC 9110 allows.

    Raises
    ------
    RangeNotSatisfiableError
        No byte of the file is in the range.
    """
    found = ONE_RANGE.match((header or "").strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), size_bytes if last == "" else min(int(last) + 1, size_bytes)
        if last != "" and int(last) < start:
            return None
    if start >= stop:
        raise RangeNotSatisfiableError(size_bytes)
    return start, stop


def names_tag(header: str, tag: str) -> bool:
    """True where an If-None-Match header names an entity tag, or all (`*`)."""
    names = [name.strip().removeprefix("W/") for name in header.split(",")]
    return tag in names or "*" in names
