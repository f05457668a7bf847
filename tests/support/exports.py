"""Exports as staff ask for them, workers write them, and files hold them."""

import csv
import gzip
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from billing.cli.reading import ask_at
from billing.db import Begin
from billing.exports.accept import AcceptedExport, ExportRequest, accept_export
from billing.exports.write import write_export
from billing.ids import new_id
from billing.lists.selection import Check, Column, Condition, Group, Kind, Selection
from billing.messages import WriteExport
from billing.models import Export, ExportPart
from tests.support.leases import UnrenewedLeases

STUDENTS = text("""
    INSERT INTO student (email, email_verified, name, created_at)
    SELECT n || '@' || CAST(:name AS text), false, :name, now() FROM generate_series(1, :students) AS n
""")
COLUMNS = (
    Column(name="id", label="Number", kind=Kind.NUMBER),
    Column(name="email", label="E-mail", kind=Kind.TEXT),
)


def add_students(begin: Begin, number: int, *, name: str = "example.com") -> None:
    with begin() as session:
        session.execute(STUDENTS, {"students": number, "name": name})


def students_named(name: str = "example.com", columns: Sequence[Column] = COLUMNS) -> Selection:
    named = Condition(field="name", check=Check.EQUALS, value=name)
    return Selection(list_name="student", title="Students", columns=tuple(columns), where=Group(parts=(named,)))


def ask(url: str, selection: Selection, *, at: datetime, sub: str = "boss") -> AcceptedExport:
    """As the door does it."""
    request = ExportRequest(new_id(), sub, selection, "request-of-a-test", at)
    return ask_at(url, lambda connection: accept_export(connection, request))


def write(begin: Begin, export_id: UUID, *, now: datetime) -> int:
    """As one worker does it, to its end; the claims that it took."""
    claims, message = 1, WriteExport(export_id=export_id)
    while write_export(begin, UnrenewedLeases(), message, now=now):
        claims += 1
    return claims


def load(begin: Begin, export_id: UUID) -> Export:
    with begin() as session:
        return session.get_one(Export, export_id)


def parts_of(begin: Begin, export_id: UUID) -> Sequence[ExportPart]:
    with begin() as session:
        found = select(ExportPart).where(ExportPart.export_id == export_id).order_by(col(ExportPart.number))
        return session.exec(found).all()


def rows_of(begin: Begin, export_id: UUID) -> list[dict[str, Any]]:
    """The parts one after the other are one file."""
    whole = gzip.decompress(b"".join(part.body for part in parts_of(begin, export_id)))
    return list(csv.DictReader(io.StringIO(whole.decode(), newline="")))
