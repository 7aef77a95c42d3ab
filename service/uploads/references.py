"""Which places slides may be registered from: below allow-listed roots, after every way of writing a path is undone."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, quote, unquote, urlsplit

from models.errors import SlideUnreadableError
from service.uploads.errors import ReferenceNotAllowedError

BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
LONGEST_URI = 2048
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_reference(uri: str, roots: Sequence[str]) -> str:
    """The one form of a `file:` or `s3:` URI that lies below one of `roots`; links are followed.

    Raises
    ------
    ReferenceNotAllowedError
        It does not; whether there is anything at that place is not told.
    SlideUnreadableError
        It does, and nothing is there.
    """
    if CONTROL.search(uri) or "\\" in uri:
        raise _refusal()
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise _refusal() from error
    if "?" in uri or "#" in uri or "@" in parts.netloc or port is not None:
        raise _refusal()
    if parts.scheme == "file":
        return _read_file(parts, roots)
    if parts.scheme == "s3":
        return _read_bucket(uri, parts, roots)
    raise _refusal()


def _read_file(parts: SplitResult, roots: Sequence[str]) -> str:
    path = _path_of(parts)
    for root in roots:
        found = urlsplit(root)
        if found.scheme != "file":
            continue
        folder = PurePosixPath(unquote(found.path))
        if folder not in path.parents:
            continue
        # The place itself may be a link, or lie behind one: what counts is where it leads.
        target, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
        if home in target.parents:
            _check_there(home, target)
            return _not_longer(f"file://{quote(str(target))}")
    raise _refusal()


def _path_of(parts: SplitResult) -> PurePosixPath:
    """The absolute path of a `file:` URI, decoded once, without steps upwards."""
    text = unquote(parts.path, errors="strict") if _is_utf8(parts.path) else ""
    path = PurePosixPath(text)
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or ".." in path.parts or "\0" in text:
        raise _refusal()
    return PurePosixPath("/", *path.parts[1:])


def _is_utf8(text: str) -> bool:
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _check_there(home: Path, target: Path) -> None:
    """Where the service itself does not see the root (only workers do), they will tell."""
    if not home.is_dir():
        return
    try:
        mode = target.stat().st_mode
    except OSError as error:
        raise SlideUnreadableError("There is nothing at this place.", "Look at how it is written.") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SlideUnreadableError("This is neither a file nor a folder.", "Register a slide.")


def _read_bucket(uri: str, parts: SplitResult, roots: Sequence[str]) -> str:
    """Keys of a bucket are literal: nothing in them is decoded, and what decodes to a step upwards is refused."""
    key = parts.path.removeprefix("/")
    decoded = _decode_wholly(key)
    steps = [*key.split("/"), *decoded.split("/")]
    if not BUCKET.fullmatch(parts.netloc) or any(step in ("", ".", "..") for step in steps):
        raise _refusal()
    if CONTROL.search(decoded) or "\\" in decoded:
        raise _refusal()
    if any(uri.startswith(root.rstrip("/") + "/") for root in roots if root.startswith("s3://")):
        return uri
    raise _refusal()


def _not_longer(uri: str) -> str:
    if len(uri) > LONGEST_URI:
        raise SlideUnreadableError(f"The place has {len(uri)} characters in its one form.", "Give it a shorter name.")
    return uri


def _decode_wholly(text: str) -> str:
    while (decoded := unquote(text)) != text:
        text = decoded
    return text


def _refusal() -> ReferenceNotAllowedError:
    return ReferenceNotAllowedError(
        "Slides are not registered from this place.",
        "Ask which folders and buckets are allowed (HISTOSERVE_REFERENCE_ROOTS), or upload the slide.",
    )
