"""A result as one zip file, made while it is sent: nothing is gathered, in memory or on a disk."""

import zipfile
from collections.abc import Iterator, Sequence

from service.sending import checked_pieces
from workers.contract.store import Store
from workers.ledger.results import StoredFile

DATE = (1980, 1, 1, 0, 0, 0)
"""The same result is the same archive."""
FLUSH_BYTES = 1 << 18
LARGE_BYTES = 1 << 31
"""From here on a file needs the larger fields of zip64."""


class _Outgoing:
    """What the zip writer has written and nobody has sent yet."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def write(self, data: bytes) -> int:
        self._pieces += data
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered below."""

    def take(self) -> bytes:
        data, self._pieces = bytes(self._pieces), bytearray()
        return data

    def __len__(self) -> int:
        return len(self._pieces)


def zip_pieces(store: Store, files: Sequence[StoredFile]) -> Iterator[bytes]:
    """The bytes of a zip of all files, stored as they are, in the order of their paths.

    Raises
    ------
    IntegrityError
        A file is not the one that was written; what came until then is no whole zip.
    """
    outgoing = _Outgoing()
    with zipfile.ZipFile(outgoing, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
        for file in sorted(files, key=lambda item: item.artifact.path):
            info = zipfile.ZipInfo(file.artifact.path, DATE)
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=file.artifact.size_bytes >= LARGE_BYTES) as member:
                for piece in checked_pieces(store, file):
                    member.write(piece)
                    if len(outgoing) >= FLUSH_BYTES:
                        yield outgoing.take()
    yield outgoing.take()
