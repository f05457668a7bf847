"""A line to PostgreSQL that breaks at a commit, before the server heard of it or before the client hears of its end."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

COMMIT = b"COMMIT\0"
"""As the driver sends it, in a simple query (PostgreSQL, "Frontend/Backend Protocol")."""


class Cut(StrEnum):
    BEFORE = "before the server heard of it"
    AFTER = "after the server did it"


class CuttingLine:
    """Passes everything on until `cut_next`: then the next commit ends its connection, once for each call of it."""

    def __init__(self, url: str, port: int) -> None:
        parts = urlsplit(url)
        self.server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        host = f"{parts.username}:{parts.password}@127.0.0.1:{port}" if parts.password else f"127.0.0.1:{port}"
        self.url = urlunsplit(parts._replace(netloc=host))
        self.cuts = 0
        self._lock = threading.Lock()
        self._pending: list[tuple[Cut, int]] = []

    def cut_next(self, cut: Cut, *, after_commits: int = 0) -> None:
        """So many commits pass before."""
        with self._lock:
            self._pending.append((cut, after_commits))

    def at_a_commit(self) -> Cut | None:
        with self._lock:
            if not self._pending:
                return None
            cut, wait = self._pending[0]
            if wait:
                self._pending[0] = (cut, wait - 1)
                return None
            self._pending.pop(0)
            self.cuts += 1
            return cut


class _Client(socketserver.BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        line: CuttingLine = self.server.line  # type: ignore[attr-defined]  # put there when it was made
        with socket.create_connection(line.server) as upstream:
            is_cut = threading.Event()
            back = threading.Thread(target=_pass_back, args=(upstream, self.request, is_cut), daemon=True)
            back.start()
            self._pass_on(line, upstream, is_cut)
            back.join()

    def _pass_on(self, line: CuttingLine, upstream: socket.socket, is_cut: threading.Event) -> None:
        while data := _read(self.request):
            cut = line.at_a_commit() if COMMIT in data else None
            if cut is not None:
                is_cut.set()
            if cut is not Cut.BEFORE:
                upstream.sendall(data)
            if cut is not None:
                break
        else:
            _shut(upstream, socket.SHUT_RDWR)
            return
        if cut is Cut.BEFORE:
            _shut(upstream, socket.SHUT_RDWR)


def _pass_back(upstream: socket.socket, client: socket.socket, is_cut: threading.Event) -> None:
    """Once it is cut, the server's next word is heard here, and told to nobody."""
    while data := _read(upstream):
        if is_cut.is_set():
            break
        client.sendall(data)
    _shut(upstream, socket.SHUT_RDWR)
    _shut(client, socket.SHUT_RDWR)


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


def _shut(connection: socket.socket, how: int) -> None:
    try:
        connection.shutdown(how)
    except OSError:
        return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    line: Any = None


@contextmanager
def cutting_line(url: str) -> Iterator[CuttingLine]:
    with _Server(("127.0.0.1", 0), _Client) as server:
        line = server.line = CuttingLine(url, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield line
        finally:
            server.shutdown()
            thread.join()
