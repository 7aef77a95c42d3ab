"""From a JPEG slide to stored maps on a device: reading, copying, the network and copying back, side by side.

The slide is what the slow part of one is: 256 px JPEG tiles of a grid, of which windows are put together. Decoded
by what is here: imagecodecs or Pillow.
"""

import io
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu_timing import Run

TILE_PX, PERIOD_TILES = 256, 8
RGB = NDArray[np.uint8]
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class JpegSlide:
    """A slide without end: the same 8 x 8 encoded tiles over and over."""

    tiles: tuple[bytes, ...]
    decode: Callable[[bytes], RGB]
    decoder: str

    def read(self, x_px: int, y_px: int, side_px: int) -> RGB:
        """A window; every tile it meets is decoded."""
        first_x, first_y = x_px // TILE_PX, y_px // TILE_PX
        last_x, last_y = -(-(x_px + side_px) // TILE_PX), -(-(y_px + side_px) // TILE_PX)
        rows = [
            np.concatenate([self._tile(x, y) for x in range(first_x, last_x)], axis=1) for y in range(first_y, last_y)
        ]
        whole, top, left = np.concatenate(rows), y_px - first_y * TILE_PX, x_px - first_x * TILE_PX
        return whole[top : top + side_px, left : left + side_px]

    def _tile(self, column: int, row: int) -> RGB:
        return self.decode(self.tiles[row % PERIOD_TILES * PERIOD_TILES + column % PERIOD_TILES])


@dataclass(frozen=True)
class Feed:
    """How tiles get to the device and back."""

    readers: int
    streams: int
    pinned: bool


def jpeg_slide() -> JpegSlide | None:
    """A slide of noise like tissue at quality 80; None where nothing here knows JPEG."""
    codec = _codec()
    if codec is None:
        return None
    name, encode, decode = codec
    rng = np.random.default_rng(0)
    tiles = []
    for _ in range(PERIOD_TILES**2):
        coarse = rng.normal(0, 25, (TILE_PX // 8, TILE_PX // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
        picture = np.array([200, 140, 180]) + coarse + rng.normal(0, 6, (TILE_PX, TILE_PX, 3))
        tiles.append(encode(np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))))
    return JpegSlide(tuple(tiles), decode, name)


def make_lanes(runs: Sequence[Run], shape: Shape, device: str, feed: Feed) -> tuple["Lane", ...]:
    """A lane for each stream.

    Parameters
    ----------
    runs
        The network, once for each stream: a captured graph has one input.
    shape
        Of a batch, (N, H, W, 3).
    """
    return tuple(Lane(run, shape, device, pinned=feed.pinned) for run in runs[: feed.streams])


def stream_slide(slide: JpegSlide, lanes: Sequence["Lane"], batches: int, readers: int) -> float:
    """Seconds from the first read to the last map in memory."""
    count, side = lanes[0].host.shape[:2]
    start = time.perf_counter()
    with ThreadPoolExecutor(readers) as pool:
        ahead: deque[Future[RGB]] = deque()
        places = iter(range(batches * count))

        def fill() -> None:
            while len(ahead) < 3 * count + readers and (place := next(places, None)) is not None:
                ahead.append(pool.submit(slide.read, place * side, place // 64 * side, side))

        fill()
        for index in range(batches):
            lane = lanes[index % len(lanes)]
            lane.wait()
            for row in range(count):
                lane.host[row] = torch.from_numpy(ahead.popleft().result())
                fill()
            lane.go()
        for lane in lanes:
            lane.wait()
    return time.perf_counter() - start


def copy_and_run(lanes: Sequence["Lane"], batches: int) -> float:
    """Seconds of batches that are in the host's memory already: copied, run, copied back."""
    for lane in lanes:
        lane.go()
        lane.wait()
    start = time.perf_counter()
    for index in range(batches):
        lane = lanes[index % len(lanes)]
        lane.wait()
        lane.go()
    for lane in lanes:
        lane.wait()
    return time.perf_counter() - start


class Lane:
    """A batch on the host, a CUDA stream, and the answers; `host` may be written after `wait`."""

    def __init__(self, run: Run, shape: Shape, device: str, *, pinned: bool) -> None:
        is_cuda = device.startswith("cuda")
        self._run, self._device = run, device
        self.host = torch.full(shape, 200, dtype=torch.uint8, pin_memory=pinned and is_cuda)
        self._pinned = pinned and is_cuda
        self._stream = torch.cuda.Stream() if is_cuda else None
        self._answers: tuple[Tensor, ...] = ()

    def go(self) -> None:
        """Start the batch."""
        if self._stream is None:
            self._answers = self._run(self.host)
            return
        with torch.cuda.stream(self._stream):
            made = self._run(self.host.to(self._device, non_blocking=self._pinned))
            if not self._answers:
                self._answers = tuple(torch.empty(m.shape, dtype=m.dtype, pin_memory=self._pinned) for m in made)
            for answer, value in zip(self._answers, made, strict=True):
                answer.copy_(value, non_blocking=self._pinned)

    def wait(self) -> None:
        """Wait until the batch that was started is done."""
        if self._stream is not None:
            self._stream.synchronize()


def _codec() -> tuple[str, Callable[[RGB], bytes], Callable[[bytes], RGB]] | None:
    try:
        import imagecodecs
    except ModuleNotFoundError:
        return _other_codec()
    encode = partial(imagecodecs.jpeg8_encode, level=80, subsampling="420")
    return "imagecodecs", encode, imagecodecs.jpeg8_decode


def _other_codec() -> tuple[str, Callable[[RGB], bytes], Callable[[bytes], RGB]] | None:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return None

    def encode(picture: RGB) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "jpeg", quality=80, subsampling=2)
        return file.getvalue()

    return "Pillow", encode, lambda data: np.asarray(Image.open(io.BytesIO(data)))
