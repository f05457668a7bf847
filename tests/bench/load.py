"""A client that costs little: requests are made beforehand, and answers are only counted."""

import asyncio
import time
from collections.abc import Iterator, Sequence

CONNECTIONS = 32


async def requests_per_second(port: int, requests: Sequence[bytes]) -> float:
    """All requests over a fixed number of connections, each waiting for its answer; every one must be a 200 or 202."""
    left = iter(requests)
    start = time.perf_counter()
    await asyncio.gather(*(_connection(port, left) for _ in range(CONNECTIONS)))
    return len(requests) / (time.perf_counter() - start)


async def _connection(port: int, left: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in left:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")), head
        await reader.readexactly(_length(head))
    writer.close()
    await writer.wait_closed()


def _length(head: bytes) -> int:
    (line,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(line.partition(b":")[2])


def post(path: str, body: bytes, **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
