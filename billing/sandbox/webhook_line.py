"""A connection to the webhook's door, kept open between deliveries; only what a delivery needs of HTTP."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools

IDLE_AT_MOST_SECONDS = 2.0
ANSWER_WITHIN_SECONDS = 10.0


class LineError(Exception):
    """No answer, or none that can be read."""


class WebhookLine:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._is_secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_secure else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._opening = f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used_at = 0.0

    async def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                return await self._exchange(body, headers)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise LineError(str(error)) from error
        finally:
            self._used_at = time.monotonic()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None

    async def _exchange(self, body: bytes, headers: Mapping[str, str]) -> int:
        reader, writer = await self._open()
        lines = [f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": str(len(body))}.items()]
        is_reusable = False
        try:
            writer.write((self._opening + "".join(lines) + "\r\n").encode() + body)
            response = _Response()
            while not response.is_complete:
                response.parser.feed_data(await _some(reader))
            is_reusable = response.is_line_kept
            return response.status
        finally:
            if not is_reusable:
                self.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A line that lay idle may be closed at the other end by now: a fresh one is cheaper than a repeat."""
        is_stale = time.monotonic() - self._used_at > IDLE_AT_MOST_SECONDS
        if self._streams is not None and (is_stale or self._streams[0].at_eof()):
            self.close()
        if self._streams is None:
            security = ssl.create_default_context() if self._is_secure else None
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=security)
        return self._streams


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(65536)
    if not data:
        raise ConnectionError("the line was closed before the answer was complete")
    return data


class _Response:
    """The parser calls back at the end of the answer; only then it knows what it is asked here."""

    is_complete = False
    is_line_kept = False
    status = 0

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.is_line_kept = self.parser.should_keep_alive()
        self.is_complete = True
