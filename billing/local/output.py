"""One stream of whole lines, each with the name of who said it."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

OURS = "billing"
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
BOLD = 1
LONGEST_LINE = 64 * 1024


class Output:
    def __init__(self, stream: TextIO, names: Iterable[str], on_closed: Callable[[], None]) -> None:
        everyone = [OURS, *names]
        self._stream: TextIO | None = stream
        self._width = max(map(len, everyone))
        self._colours = dict(zip(everyone, [BOLD, *(COLOURS * len(everyone))], strict=False))
        self._is_coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._on_closed = on_closed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} |"
        if self._is_coloured:
            prefix = f"\x1b[{self._colours.get(name, BOLD)}m{prefix}\x1b[0m"
        self.text(f"{prefix} {text}")

    def text(self, text: str) -> None:
        """Whoever read us may be gone; what we run is told to stop, not torn down by our own exception."""
        if self._stream is None:
            return
        try:
            print(text, file=self._stream, flush=True)
        except OSError:
            self._stream = None
            self._on_closed()


class Lines:
    """Bytes in, whole lines out; overlong ones come in pieces, foreign encodings with replacement characters."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[str]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        yield from map(_readable, whole)
        while len(self._rest) > LONGEST_LINE:
            piece, self._rest = self._rest[:LONGEST_LINE], self._rest[LONGEST_LINE:]
            yield _readable(piece)

    def end(self) -> Iterator[str]:
        rest, self._rest = self._rest, b""
        if rest:
            yield _readable(rest)


def _readable(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")
