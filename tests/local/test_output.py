import io

import pytest

from billing.local.output import LONGEST_LINE, Lines, Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def ignore() -> None:
    pass


def test_names_stand_in_one_column() -> None:
    stream = io.StringIO()
    output = Output(stream, ["web", "maintenance"], on_closed=ignore)
    output.line("web", "hello")
    output.line("billing", "there")
    assert stream.getvalue() == "web         | hello\nbilling     | there\n"


@pytest.mark.parametrize(("no_colour", "is_coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, no_colour: str, is_coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    Output(terminal, ["web"], on_closed=ignore).line("web", "hello")
    assert ("\x1b[" in terminal.getvalue()) is is_coloured


def test_a_reader_that_went_away_is_told_once() -> None:
    """`billing up | head` stops cleanly instead of falling over its own output."""
    told: list[bool] = []
    output = Output(Gone(), [], on_closed=lambda: told.append(True))
    output.text("one")
    output.text("two")
    assert told == [True]


def test_lines_are_whole() -> None:
    """Two processes never share a line, and the last one needs no end."""
    lines = Lines()
    assert list(lines.feed(b"one\ntw")) == ["one"]
    assert list(lines.feed(b"o\r\n\xff\n")) == ["two", "\ufffd"]
    assert list(lines.feed(b"three")) == []
    assert list(lines.end()) == ["three"]


def test_an_endless_line_comes_in_pieces() -> None:
    """A process that prints without line ends must not fill our memory."""
    assert [len(piece) for piece in Lines().feed(b"x" * (2 * LONGEST_LINE + 5))] == [LONGEST_LINE, LONGEST_LINE]
