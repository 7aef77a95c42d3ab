"""What a JPEG stream says before its pixels: size, components, colour markers, restart interval."""

import struct
from dataclasses import dataclass

_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_START_OF_SCAN, _RESTART_INTERVAL, _END = 0xDA, 0xDD, 0xD9
_APP0, _APP14 = 0xE0, 0xEE
_ALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}


@dataclass(frozen=True)
class JpegHeader:
    """The fields of a JPEG's markers up to its first scan; zero where a marker is absent (tables have no frame)."""

    width_px: int = 0
    height_px: int = 0
    precision_bits: int = 0
    component_ids: tuple[int, ...] = ()
    sampling: tuple[tuple[int, int], ...] = ()
    """Horizontal and vertical sampling factor of each component."""
    jfif: bool = False
    adobe_transform: int | None = None
    restart_interval: int = 0
    frame_offset: int = 0
    """Where the frame's height stands (two bytes, the width's two bytes follow)."""
    scan_offset: int = 0
    """First byte of entropy-coded data."""


def parse_jpeg_header(data: bytes) -> JpegHeader:
    """The header of a JPEG stream or of shared JPEG tables.

    Raises
    ------
    ValueError
        It is no JPEG, or ends inside of a marker.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("it does not start with a JPEG's SOI marker")
    found: dict[str, object] = {}
    at = 2
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            raise ValueError(f"byte {at} should start a marker")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        at += 2
        if marker == _END:
            break
        if marker in _ALONE:
            continue
        body = _segment(data, at)
        found |= _read_marker(marker, body, at + 2)
        at += 2 + len(body)
        if marker == _START_OF_SCAN:
            found["scan_offset"] = at
            break
    return JpegHeader(**found)  # type: ignore[arg-type]


def _segment(data: bytes, at: int) -> bytes:
    if at + 2 > len(data):
        raise ValueError("it ends inside of a marker")
    length = int.from_bytes(data[at : at + 2], "big")
    if length < 2 or at + length > len(data):
        raise ValueError(f"the marker at byte {at} runs past the end")
    return data[at + 2 : at + length]


def _read_marker(marker: int, body: bytes, at: int) -> dict[str, object]:
    if marker in _START_OF_FRAME:
        return _read_frame(body, at)
    if marker == _APP0 and body[:4] == b"JFIF":
        return {"jfif": True}
    if marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
        return {"adobe_transform": body[11]}
    if marker == _RESTART_INTERVAL and len(body) >= 2:
        return {"restart_interval": int.from_bytes(body[:2], "big")}
    return {}


def _read_frame(body: bytes, at: int) -> dict[str, object]:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise ValueError("its frame header is too short")
    precision, height, width, count = struct.unpack(">BHHB", body[:6])
    parts = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    return {
        "width_px": width,
        "height_px": height,
        "precision_bits": precision,
        "component_ids": tuple(part[0] for part in parts),
        "sampling": tuple((part[1] >> 4, part[1] & 15) for part in parts),
        "frame_offset": at + 1,
    }


def stored_as_rgb(tables: JpegHeader, first: JpegHeader, photometric_rgb: bool) -> bool:
    """True where the three components are R, G, B as they are; False where they are Y, Cb, Cr.

    The stream's own markers win over the TIFF's photometric tag: Bio-Formats writes JFIF (YCbCr by definition) under
    photometric RGB, Aperio writes bare RGB components.
    """
    transform = first.adobe_transform if first.adobe_transform is not None else tables.adobe_transform
    if transform is not None:
        return transform == 0
    if first.jfif or tables.jfif:
        return False
    return photometric_rgb or first.component_ids == (0x52, 0x47, 0x42)
