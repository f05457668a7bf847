"""Writing an export: each claim of its row writes one part, so that other work of the queue is done in between.

A part and the place where the next one begins are committed together, under the claim's token: a worker that is
killed, or comes too late, leaves neither half a part nor one twice.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import func, select, text
from sqlmodel import Session, col
from structlog.contextvars import bound_contextvars

from billing import work
from billing.db import Begin, repeated
from billing.exports.terms import MOST_ROWS
from billing.lists.cells import csv_of
from billing.lists.selection import Selection, SelectionOutdatedError
from billing.lists.slices import read_slice
from billing.messages import FollowUp, WriteExport
from billing.models import Export, ExportPart

log = structlog.get_logger(__name__)

PART_ROWS = 20_000
READ_TIMEOUT = text("SET LOCAL statement_timeout = '60s'")
"""A condition that no index helps with may have to look at every row of a large table, and nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are read and written, but not kept yet. `last` is the key of the last one, None where there is none."""

    number: int
    rows: int
    body: bytes
    last: Sequence[Any] | None
    has_more: bool


def write_export(begin: Begin, leases: work.Leases, message: WriteExport, *, now: datetime) -> Sequence[FollowUp]:
    """The next part, and the message that brings the one after it; the last one makes the export ready.

    Raises LeaseLostError where another worker has taken the export over.
    """
    claim = repeated(
        begin, lambda session: work.claim_unless_worn_out(session, Export, message.export_id, leases.terms)
    )
    if claim is None:
        return []
    with bound_contextvars(request_id=claim.row.request_id), leases.held(claim.token):
        try:
            part = _read(begin, claim.row)
        except (SelectionOutdatedError, ValidationError) as error:
            reason = f"{type(error).__name__}: {error}"
            repeated(begin, lambda session: _give_up(session, claim, reason))
            return []
        has_more = repeated(begin, lambda session: _keep(session, claim, part, now))
    return [message] if has_more else []


def _read(begin: Begin, export: Export) -> Part:
    """The rows are written while no transaction is open: nobody waits for that."""
    selection = Selection.model_validate(export.selection, strict=False)
    with begin() as session:
        session.execute(READ_TIMEOUT)
        last = select(func.coalesce(func.max(col(ExportPart.number)), 0))
        number = session.execute(last.where(col(ExportPart.export_id) == export.id)).scalar_one() + 1
        found = read_slice(session, selection, export.after, PART_ROWS)
    lines = csv_of(selection.columns, found.rows, found.names, has_header=number == 1)
    return Part(number, len(found.rows), gzip.compress(lines, compresslevel=6, mtime=0), found.last, found.has_more)


def _keep(session: Session, claim: work.Claim[Export], part: Part, now: datetime) -> bool:
    """Whether there is more to be written."""
    (export,) = work.resume(session, claim)
    if export.rows + part.rows > MOST_ROWS:
        work.give_up(export, f"more than {MOST_ROWS:,} rows: narrow the list, and ask for it part by part")
        return False
    if part.rows or part.number == 1:
        session.add(ExportPart(export_id=export.id, number=part.number, rows=part.rows, body=part.body))
    export.rows += part.rows
    export.after = None if part.last is None else list(part.last)
    if part.has_more:
        work.rest(export, timedelta())
    else:
        work.close(export)
        export.be_ready(now)
        log.info("export_written", export=str(export.id), list=export.list_name, rows=export.rows)
    return part.has_more


def _give_up(session: Session, claim: work.Claim[Export], reason: str) -> None:
    (export,) = work.resume(session, claim)
    work.give_up(export, reason)
    log.warning("export_gave_up", export=str(export.id), list=export.list_name)
