"""Frames of a DICOM file that lacks attributes wsidicom insists on: found by walking the pixel data's items."""

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID

from models.errors import SlideAbsurdError, SlideUnreadableError
from workers.slides.byte_file import ByteFile

_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
MAX_FRAMES = 1 << 22


@dataclass(frozen=True)
class FramePlaces:
    """Where each frame lies in the file."""

    offsets: tuple[int, ...]
    lengths: tuple[int, ...]


def find_frames(file: ByteFile, dataset: Dataset, pixel_data_offset: int) -> FramePlaces:
    """The place of every frame, one fragment each, in the order of the file.

    Parameters
    ----------
    dataset
        Read up to the pixel data.
    pixel_data_offset
        Where the pixel data element starts in the file.

    Raises
    ------
    SlideUnreadableError
        The pixel data is truncated, or does not hold one fragment for each frame.
    SlideAbsurdError
        More frames than a slide has.
    """
    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    if not 1 <= frames <= MAX_FRAMES:
        raise SlideAbsurdError(f"The DICOM file claims {frames} frames; 1 to {MAX_FRAMES} are sane.")
    head = file.read(pixel_data_offset, 12)
    if head[:4] != _PIXEL_DATA:
        raise SlideUnreadableError("The DICOM file holds no pixel data where it should.")
    if UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated:
        return _encapsulated(file, pixel_data_offset + 12, frames)
    length = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated) // 8
    first = pixel_data_offset + (8 if UID(dataset.file_meta.TransferSyntaxUID).is_implicit_VR else 12)
    if first + frames * length > file.size_bytes:
        raise SlideUnreadableError(
            f"The file is truncated: {frames} frames of {length} bytes end behind its {file.size_bytes} bytes."
        )
    return FramePlaces(tuple(first + i * length for i in range(frames)), (length,) * frames)


def _encapsulated(file: ByteFile, at: int, frames: int) -> FramePlaces:
    """Walk the items behind the basic offset table."""
    offsets: list[int] = []
    lengths: list[int] = []
    at += 8 + _item_length(file, at)
    while len(offsets) <= frames:
        head = file.read(at, 8)
        if head[:4] == _SEQUENCE_END:
            break
        length = _item_length(file, at)
        if at + 8 + length > file.size_bytes:
            raise SlideUnreadableError(f"The file is truncated inside of frame {len(offsets)} of {frames}.")
        offsets.append(at + 8)
        lengths.append(length)
        at += 8 + length
    if len(offsets) != frames:
        raise SlideUnreadableError(
            f"The DICOM file claims {frames} frames, its pixel data has {len(offsets)} fragments or more; "
            "frames in several fragments need a complete header."
        )
    return FramePlaces(tuple(offsets), tuple(lengths))


def _item_length(file: ByteFile, at: int) -> int:
    head = file.read(at, 8)
    if head[:4] != _ITEM:
        raise SlideUnreadableError(f"The DICOM pixel data is corrupt: no item at byte {at}.")
    return int.from_bytes(head[4:], "little")
