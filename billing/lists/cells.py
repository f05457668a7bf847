"""How cells are written into a file: as pages write them, and never as a formula."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from billing.lists.names import NAMES
from billing.lists.selection import Column, Kind
from billing.reads.written import euros, hours, instant

Names = Mapping[tuple[Kind, Any], str]
Cell = str | int

FORMULAS = "=+-@"
BLANKS = " \t\r\n\x0b\x0c"
"""What spreadsheets skip before they look whether a cell is a formula."""


def written_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def written_words(value: Sequence[str]) -> str:
    return ", ".join(value)


WRITTEN: Mapping[Kind, Callable[[Any], Cell]] = {
    Kind.NUMBER: int,
    Kind.CENTS: euros,
    Kind.MINUTES: hours,
    Kind.INSTANT: instant,
    Kind.FLAG: lambda value: "yes" if value else "no",
    Kind.JSON: written_json,
    Kind.WORDS: written_words,
}
"""Kinds that are not the text of their value."""


def harmless(cell: Cell) -> Cell:
    """What a spreadsheet would take for a formula gets a mark before it, by which it is text (OWASP, "CSV
    Injection")."""
    if not isinstance(cell, str) or not cell:
        return cell
    is_formula = cell[0] in "\t\r" or cell.lstrip(BLANKS)[:1] in tuple(FORMULAS)
    return f"'{cell}" if is_formula else cell


def csv_of(columns: Sequence[Column], rows: Sequence[Sequence[Any]], names: Names, *, has_header: bool) -> bytes:
    """Lines of cells in UTF-8 (RFC 4180); the rows have a value for each of the columns."""
    out = io.StringIO()
    writer = csv.writer(out)
    if has_header:
        writer.writerow([column.label for column in columns])
    writers = [_writer_of(column.kind, names) for column in columns]
    for row in rows:
        writer.writerow([None if value is None else write(value) for write, value in zip(writers, row, strict=True)])
    return out.getvalue().encode()


def _writer_of(kind: Kind, names: Names) -> Callable[[Any], Cell]:
    written = WRITTEN.get(kind, str)
    if kind not in NAMES:
        return lambda value: harmless(written(value))
    return lambda value: harmless(names.get((kind, value), str(value)))
