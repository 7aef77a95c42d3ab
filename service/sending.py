"""Files of a result on their way out: conditions, ranges, digests (RFC 9110, RFC 9530)."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import structlog
from fastapi import Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from models.errors import IntegrityError
from service.ranges import names_tag, read_range
from workers.contract.store import Store
from workers.ledger.jobs import Artifact
from workers.ledger.results import StoredFile

AT_ONCE_BYTES = 1 << 20
"""So much is read before the answer begins, and sent in one piece."""


@dataclass(frozen=True)
class Asked:
    """What a request says of the file it wants."""

    method: str
    range: str | None
    if_range: str | None
    if_none_match: str | None


def read_conditions(
    request: Request,
    wanted: Annotated[str | None, Header(alias="Range", description="One range of bytes: `bytes=0-1023`.")] = None,
    if_range: Annotated[str | None, Header(description="The range only where the file still has this ETag.")] = None,
    if_none_match: Annotated[str | None, Header(description="304 where the file has one of these ETags.")] = None,
) -> Asked:
    """The conditions of a request, as a dependency."""
    return Asked(request.method, wanted, if_range, if_none_match)


Conditions = Annotated[Asked, Depends(read_conditions)]


def send_file(store: Store, file: StoredFile, asked: Asked) -> Response:
    """The file, the range of it that was asked for, or that it is the one the caller has.

    Raises
    ------
    RangeNotSatisfiableError
        The range lies behind the end.
    IntegrityError
        The file is not the one that was written. What is found out after the answer began breaks the connection.
    StoreError
        It cannot be read.
    """
    artifact = file.artifact
    tag = f'"{artifact.sha256}"'
    if asked.if_none_match is not None and names_tag(asked.if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag})
    check_size(store, file)
    piece = read_range(asked.range, artifact.size_bytes) if asked.if_range in (None, tag) else None
    start, stop = piece or (0, artifact.size_bytes)
    headers = _headers(artifact, tag) | {"Content-Length": str(stop - start)}
    if piece is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{artifact.size_bytes}"
    status = 200 if piece is None else 206
    media_type = artifact.media_type or "application/octet-stream"
    if asked.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    pieces = checked_pieces(store, file) if piece is None else store.read(file.key, start, stop)
    if stop - start > AT_ONCE_BYTES:
        return StreamingResponse(pieces, status_code=status, headers=headers, media_type=media_type)
    body = b"".join(pieces)
    if len(body) != stop - start:
        raise _altered(artifact, f"gave {len(body)} of {stop - start} bytes")
    return Response(body, status_code=status, headers=headers, media_type=media_type)


def check_size(store: Store, file: StoredFile) -> None:
    """Nothing is sent of a file that is not as long as it was. Raises `IntegrityError`, `StoreError`."""
    size = store.size(file.key)
    if size != file.artifact.size_bytes:
        raise _altered(file.artifact, f"has {size} bytes; {file.artifact.size_bytes} were written")


def checked_pieces(store: Store, file: StoredFile) -> Iterator[bytes]:
    """All bytes of a file, the last of them only when the digest of all is known to be right.

    Raises
    ------
    IntegrityError
        It is not; who reads cannot take what came for the file.
    """
    digest, held = hashlib.sha256(), b""
    for piece in store.read(file.key):
        if held:
            yield held
        digest.update(piece)
        held = piece
    if digest.hexdigest() != file.artifact.sha256:
        structlog.get_logger().error("altered", key=file.key)
        raise _altered(file.artifact, "has other bytes than were written")
    yield held


def _altered(artifact: Artifact, what: str) -> IntegrityError:
    return IntegrityError(
        f"{artifact.path} {what}.",
        "The store was altered: run the job again, and `histoserve gc --verify` on the machine.",
    )


def _headers(artifact: Artifact, tag: str) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
    return {
        "ETag": tag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(artifact.path.rsplit('/', 1)[-1], safe='')}",
    }
