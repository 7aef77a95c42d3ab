"""From the event loop into threads: a body is gathered while what came before is written."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from service.uploads.errors import RequestTimeoutError

GATHER_BYTES = 1 << 20
GATHER_S = 1.0


async def pour(
    chunks: AsyncIterator[bytes], take: Callable[[bytearray], None], limiter: CapacityLimiter, idle_s: float
) -> None:
    """Hand a body to `take`, which runs in a thread, in order; about two pieces are in memory at any time.

    What came before a client went away is handed over too, before the failure is raised.

    Raises
    ------
    RequestTimeoutError
        The client sent nothing for `idle_s`.
    """
    writing: asyncio.Task[None] | None = None
    piece, since = bytearray(), time.monotonic()
    try:
        async for chunk in _patiently(chunks, idle_s):
            piece += chunk
            if len(piece) >= GATHER_BYTES or time.monotonic() - since >= GATHER_S:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(run_sync(take, piece, limiter=limiter))
                piece, since = bytearray(), time.monotonic()
    finally:
        if writing is not None:
            await writing
        if piece:
            await run_sync(take, piece, limiter=limiter)


async def _patiently(chunks: AsyncIterator[bytes], idle_s: float) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(idle_s):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestTimeoutError(
                f"Nothing came for {idle_s:g} s.", "Ask for the offset and go on from there."
            ) from error
        yield chunk
