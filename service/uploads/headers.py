"""The headers of tus, read strictly."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate

from service.uploads.errors import (
    BadRequestError,
    ChecksumUnsupportedError,
    LengthRequiredError,
    MediaTypeError,
    TusVersionError,
)

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
BODY_TYPE = "application/offset+octet-stream"
ALGORITHMS: Mapping[str, int] = {"sha256": 32, "sha1": 20, "md5": 16}
"""Checksums that are computed here, and their bytes. They guard against accidents; the whole has its SHA-256."""
MOST_DIGITS = 18
MOST_METADATA = 32
LONGEST_METADATA = 4096
KEY = re.compile(r"[!-+\--~]{1,64}")
"""Printable ASCII without space and comma."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Checksum:
    """What the bytes of one request must add up to."""

    algorithm: str
    digest: bytes

    def start(self) -> "hashlib._Hash":
        """A running hash of this kind."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def check_version(headers: Mapping[str, str]) -> None:
    """Raise `TusVersionError` where the client does not speak tus 1.0.0."""
    sent = headers.get("tus-resumable")
    if sent != VERSION:
        told = "no Tus-Resumable" if sent is None else f"Tus-Resumable: {sent[:32]}"
        raise TusVersionError(f"The request has {told}.", f"Send `Tus-Resumable: {VERSION}`.")


def read_length(headers: Mapping[str, str]) -> int:
    """Upload-Length. Raises `BadRequestError` where there is none or it is no number of bytes."""
    if "upload-defer-length" in headers:
        raise BadRequestError(
            "Upload-Defer-Length is not supported: room on the disk is set aside when an upload begins.",
            "Send Upload-Length; a stream of unknown length goes to PUT /v1/slides/content.",
        )
    return read_number(headers, "Upload-Length")


def read_number(headers: Mapping[str, str], name: str) -> int:
    """A header that counts bytes. Raises `BadRequestError`."""
    sent = headers.get(name.lower())
    if sent is None:
        raise BadRequestError(f"The header {name} is missing.", "It is a number of bytes.")
    if not (sent.isascii() and sent.isdigit() and len(sent) <= MOST_DIGITS):
        raise BadRequestError(f"{name} is {sent[:32]!r}.", "It is a number of bytes: digits only.")
    return int(sent)


def read_body_length(headers: Mapping[str, str]) -> int | None:
    """Content-Length; None for a body that comes in chunks.

    Raises
    ------
    LengthRequiredError
        The request says neither.
    """
    if "content-length" in headers:
        return read_number(headers, "Content-Length")
    if "transfer-encoding" in headers:
        return None
    raise LengthRequiredError("The request has no Content-Length.", "Send it, or send the body in chunks.")


def read_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Upload-Checksum, None where none was sent.

    Raises
    ------
    ChecksumUnsupportedError
        The algorithm is not one of ours.
    BadRequestError
        It is not `algorithm base64`.
    """
    sent = headers.get("upload-checksum")
    if sent is None:
        return None
    algorithm, _, encoded = sent.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise ChecksumUnsupportedError(
            f"The checksum algorithm {algorithm[:32]!r} is not known.", f"Use one of {', '.join(ALGORITHMS)}."
        )
    digest = _decode(encoded, "Upload-Checksum")
    if len(digest) != ALGORITHMS[algorithm]:
        raise BadRequestError(f"The {algorithm} of Upload-Checksum has {len(digest)} bytes.", "Send the whole digest.")
    return Checksum(algorithm, digest)


def check_body_type(headers: Mapping[str, str]) -> None:
    """Raise `MediaTypeError` where the body is not declared as bytes at an offset."""
    sent = headers.get("content-type", "")
    if sent.split(";")[0].strip().lower() != BODY_TYPE:
        raise MediaTypeError(f"The Content-Type is {sent[:64]!r}.", f"Send `Content-Type: {BODY_TYPE}`.")


def read_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Upload-Metadata as text by key; a key alone has an empty value. Raises `BadRequestError`."""
    sent = headers.get("upload-metadata", "").strip()
    if not sent:
        return {}
    pairs = sent.split(",")
    if len(sent) > LONGEST_METADATA or len(pairs) > MOST_METADATA:
        raise BadRequestError(
            f"Upload-Metadata has {len(sent)} bytes and {len(pairs)} pairs.",
            f"At most {LONGEST_METADATA} bytes and {MOST_METADATA} pairs are kept.",
        )
    found: dict[str, str] = {}
    for pair in pairs:
        key, _, encoded = pair.strip().partition(" ")
        if not KEY.fullmatch(key) or key in found:
            raise BadRequestError(f"Upload-Metadata has the key {key[:32]!r}.", "Keys are ASCII and unique.")
        found[key] = _text(_decode(encoded, "Upload-Metadata"), key)
    return found


def write_metadata(metadata: Mapping[str, str]) -> str:
    """Upload-Metadata of what was read from one."""
    pairs = ((key, base64.b64encode(value.encode()).decode()) for key, value in metadata.items())
    return ",".join(f"{key} {value}" if value else key for key, value in pairs)


def write_time(seconds: float) -> str:
    """A time of the ledger as Upload-Expires has it."""
    return formatdate(seconds, usegmt=True)


def bare_filename(sent: str | None) -> str | None:
    """The last part of a file name a client gave, None where nothing is left; it is shown and never opened."""
    if sent is None:
        return None
    last = re.split(r"[/\\]", CONTROL.sub("", sent))[-1].strip()
    return last[:255] or None


def _decode(encoded: str, name: str) -> bytes:
    try:
        return base64.b64decode(encoded.encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadRequestError(f"{name} is not base64.", "It is `name base64`.") from error


def _text(value: bytes, key: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The metadata {key!r} is not UTF-8.", "Send text.") from error
    if CONTROL.search(text):
        raise BadRequestError(f"The metadata {key!r} has control characters.", "Send text.")
    return text
