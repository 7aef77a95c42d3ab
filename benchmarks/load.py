"""Many clients at once, bounded: keep-alive connections that each ask one thing after the other.

`python -m benchmarks.load URL PATH CLIENTS SECONDS HEADERS(JSON)` prints requests per second and latencies as JSON. A
process of its own: what it costs is not the server's.
"""

import asyncio
import json
import statistics
import sys
import time
from urllib.parse import urlsplit


async def ask(host: str, port: int, request: bytes, until: float, seconds: list[float]) -> None:
    """One client: a request, its whole answer, the next request."""
    reader, writer = await asyncio.open_connection(host, port)
    while time.perf_counter() < until:
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status not in (200, 206, 304):
            raise RuntimeError(f"the service answered {status}")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        seconds.append(time.perf_counter() - start)
    writer.close()


async def load(url: str, path: str, clients: int, for_s: float, headers: dict[str, str]) -> dict[str, float]:
    """Requests per second and latencies in ms of `clients` at once."""
    parts = urlsplit(url)
    lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", *(f"{k}: {v}" for k, v in headers.items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    seconds: list[float] = []
    start = time.perf_counter()
    until = start + for_s
    await asyncio.gather(
        *(ask(str(parts.hostname), int(parts.port or 80), request, until, seconds) for _ in range(clients))
    )
    taken, cuts = time.perf_counter() - start, statistics.quantiles(seconds, n=100)
    return {
        "clients": clients,
        "requests": len(seconds),
        "per_s": len(seconds) / taken,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
    }


if __name__ == "__main__":
    url, path, clients, for_s, headers = sys.argv[1:]
    print(json.dumps(asyncio.run(load(url, path, int(clients), float(for_s), json.loads(headers)))))
