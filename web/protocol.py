"""What the server does not do by itself for clients that are slow, hostile or too many (`--http web.protocol:…`).

The server parses, answers and keeps connections alive; here a connection that waits for its client is cut after a
while, whatever it waits for, and one that sends without end is cut at once.
"""

import asyncio
import resource
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from billing.ids import new_id
from web.edge import NO_STORE, SECURITY_HEADERS
from web.errors import Problem

CLIENT_SECONDS = 10.5
"""A head, a body, or the reading of an answer. A little more than the routes grant, which say so in their answer."""

LOOK_SECONDS = 0.5
HEAD_BYTES = 32 * 1024
REQUEST_BYTES = 4 * 1024 * 1024
"""Far above every body that a route reads."""

MOST_PIPELINED = 32
MOST_CONNECTIONS = 4096
SPARE_FILES = 100
"""For the database, Valkey and the log."""

MALFORMED = Problem(400, "bad_request", "This is not a request that can be read.")
HEAD_TOO_LARGE = Problem(431, "headers_too_large", f"The head may have {HEAD_BYTES // 1024} KiB at most.")
HEAD_TOO_SLOW = Problem(408, "request_timeout", "The request did not arrive in time.")
TOO_MANY = Problem(503, "unavailable", "Too many connections are open; try again.", headers={"Retry-After": "2"})


class TooMuchError(Exception):
    """Raised inside the parser, which then calls the request malformed."""


class DoorProtocol(HttpToolsProtocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._slow = SlowClients.of(server_state, self.loop)
        self._is_arriving = True
        self._is_in_head = True
        self._head_bytes = 0
        self._arrived_bytes = 0
        self._problem = MALFORMED
        self._answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._slow.most_connections and not self._slow.cut_the_oldest():
            self._refuse(TOO_MANY)
            return
        self._slow.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._slow.discard(self)
        self._leave_unanswered()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_arriving or self.transport.is_closing():
            return
        self._arrived_bytes += len(data)
        if self._arrived_bytes > (HEAD_BYTES if self._is_in_head else REQUEST_BYTES):
            self._refuse(HEAD_TOO_LARGE) if self._is_in_head else self._abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_arriving = self._is_in_head = True
        self._head_bytes = self._arrived_bytes = 0
        self._expect()

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Fields that come after a chunked body are dropped: what they say was judged without them."""
        self._count_head(len(name) + len(value) + len(b": \r\n"))
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise TooMuchError
        super().on_headers_complete()
        self._is_in_head = False
        self._expect()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_arriving = False
        if not self.flow.write_paused:
            self._slow.discard(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and not self.pipeline:
            self._expect()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._slow.add(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._slow.add(self) if self._is_arriving else self._slow.discard(self)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._problem)

    def cut(self) -> None:
        """Told why only where a head was begun; into an answer that has begun nothing can be written."""
        if self._is_in_head and self._arrived_bytes and not self.flow.write_paused:
            self._refuse(HEAD_TOO_SLOW)
        else:
            self._abort()

    def _expect(self) -> None:
        """The client's time begins anew, unless it is running out over an answer that is not fetched."""
        if not self.flow.write_paused:
            self._slow.add(self)

    def _count_head(self, length: int) -> None:
        self._head_bytes += length
        if self._head_bytes > HEAD_BYTES:
            self._problem = HEAD_TOO_LARGE
            raise TooMuchError

    def _refuse(self, problem: Problem) -> None:
        cycle = self._answering
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_written(problem))
        self._leave_unanswered()
        self.transport.close()

    def _abort(self) -> None:
        self._leave_unanswered()
        self.transport.abort()

    def _leave_unanswered(self) -> None:
        """The route is told that nobody waits any more; what it still says would hit a closed connection.

        The server tells the last request only, which in a pipe is not the one that is being answered.
        """
        cycle = self._answering
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Many clients offer an upgrade and are content without one; two lines of log for each would be a flood."""


class SlowClients:
    """The connections of a server that wait for their client, in the order in which they began to."""

    _of_servers: ClassVar[WeakKeyDictionary[ServerState, Self]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._since: dict[DoorProtocol, float] = {}
        self._look: asyncio.TimerHandle | None = None
        self.most_connections = _most_connections()

    @classmethod
    def of(cls, server: ServerState, loop: asyncio.AbstractEventLoop) -> Self:
        found = cls._of_servers.get(server)
        if found is None:
            found = cls._of_servers[server] = cls(loop)
        return found

    def __contains__(self, connection: DoorProtocol) -> bool:
        return connection in self._since

    def add(self, connection: DoorProtocol) -> None:
        self._since.pop(connection, None)
        self._since[connection] = self._loop.time()
        if self._look is None:
            self._look = self._loop.call_later(LOOK_SECONDS, self._cut_the_late)

    def discard(self, connection: DoorProtocol) -> None:
        self._since.pop(connection, None)

    def cut_the_oldest(self) -> bool:
        """Make room; False where every connection is being answered."""
        for connection in self._since:
            self.discard(connection)
            connection.cut()
            return True
        return False

    def _cut_the_late(self) -> None:
        self._look = None
        began_before = self._loop.time() - CLIENT_SECONDS
        while self._since and next(iter(self._since.values())) <= began_before:
            self.cut_the_oldest()
        if self._since:
            self._look = self._loop.call_later(LOOK_SECONDS, self._cut_the_late)


def _most_connections() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, files - SPARE_FILES))


def _written(problem: Problem) -> bytes:
    """An answer as the edge would write it, for requests that never get there."""
    request_id = new_id().hex
    response = problem.response(request_id)
    headers = [*response.raw_headers, *SECURITY_HEADERS, NO_STORE, (b"x-request-id", request_id.encode())]
    lines = [b"%b: %b" % header for header in (*headers, (b"connection", b"close"))]
    return STATUS_LINE[problem.status] + b"\r\n".join((*lines, b"", bytes(response.body)))
