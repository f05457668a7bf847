"""The table of faults: every row is there, and every test that it names exists."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TABLE = TESTS / "FAULTS.md"
ROWS = range(1, 45)
LINK = re.compile(r"\[tests/(?P<shown>[^\]]+)\]\((?P<file>[^)]+)\) · (?P<test>\w+)(?:, as in row (?P<other>\d+))?")
WITHOUT = "Not tested: "


@dataclass(frozen=True)
class Link:
    row: str
    shown: str
    file: str
    test: str
    other: str | None
    """The row that names this test first, where there is one."""


def rows(table: str) -> dict[str, str]:
    """The last cell of each row, by its first."""
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {first: rest[-1] for first, *rest in cells if rest[-1] != "test"}


def links(table: str) -> Iterator[Link]:
    for row, cell in rows(table).items():
        for found in LINK.finditer(cell):
            yield Link(row, found["shown"], found["file"], found["test"], found["other"])


@cache
def functions_of(file: str) -> frozenset[str]:
    path = TESTS / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def complaints(table: str) -> list[str]:
    found: list[str] = []
    named: dict[tuple[str, str], str] = {}
    for link in links(table):
        where = f"row {link.row}: {link.file} · {link.test}"
        if link.shown != link.file:
            found.append(f"{where}: leads somewhere else than it says")
        if link.test not in functions_of(link.file) or not link.test.startswith("test_"):
            found.append(f"{where}: is not there")
        first = named.setdefault((link.file, link.test), link.row)
        if link.other != (None if first == link.row else first):
            found.append(f"{where}: is named first in row {first}")
    return found


def without_a_test(table: str) -> list[str]:
    linked = {link.row for link in links(table)}
    return [row for row, cell in rows(table).items() if row not in linked and not cell.startswith(WITHOUT)]


def test_every_row_is_there_in_its_order() -> None:
    numbers = [int(row) for row in rows(TABLE.read_text()) if row.isdigit()]
    assert numbers == list(ROWS)


def test_every_row_has_a_test_or_says_why_it_has_none() -> None:
    assert without_a_test(TABLE.read_text()) == []


def test_every_test_that_is_named_exists_and_is_named_once() -> None:
    """A test that was renamed leaves a promise behind that nobody keeps; one that proves all rows proves none."""
    assert complaints(TABLE.read_text()) == []


HERE = "[tests/rules/test_faults.py](rules/test_faults.py) · "
GOOD = f"{HERE}test_every_row_is_there_in_its_order"


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        ([GOOD], 0),
        ([GOOD, f"{GOOD}, as in row 1"], 0),
        ([GOOD, GOOD], 1),
        ([GOOD, f"{GOOD}, as in row 7"], 1),
        ([f"{HERE}test_of_yesterday"], 1),
        ([f"{HERE}rows"], 1),
        (["[tests/rules/test_faults.py](rules/test_gone.py) · test_every_row_is_there_in_its_order"], 2),
    ],
)
def test_the_rule_sees_a_broken_link(cells: list[str], wrong: int) -> None:
    """A rule that cannot fail proves nothing."""
    table = "".join(f"| {number} | a fault | this | {cell} |\n" for number, cell in enumerate(cells, 1))
    assert len(complaints(table)) == wrong


def test_the_rule_sees_a_row_without_a_test() -> None:
    """A rule that cannot fail proves nothing."""
    table = f"| 1 | a | b | soon |\n| 2 | a | b | {WITHOUT}nobody has a moon to drop |\n| 3 | a | b | {GOOD} |\n"
    assert without_a_test(table) == ["1"]
