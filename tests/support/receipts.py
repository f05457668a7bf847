"""Receipts as those who read them meet them: the words on the page, and what the rows say."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from pypdf import PdfReader
from sqlalchemy import text

from billing.config import Settings
from billing.db import Begin
from billing.models import Purchase
from billing.receipts.ask import ask_for_receipts
from billing.receipts.drain import drain
from billing.states import PurchaseState
from tests.support.factories import add_purchase
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases


def lines_of(pdf: bytes) -> list[str]:
    """The text of the one page, forms of letters as the letters that they are forms of."""
    (page,) = PdfReader(BytesIO(pdf)).pages
    return [unicodedata.normalize("NFKC", line).strip() for line in page.extract_text().splitlines()]


def paid(begin: Begin, student_id: int, *, at: datetime, **facts: Any) -> Purchase:
    """A paid purchase that has asked for its receipt."""
    state, closed = PurchaseState.COMPLETED, {"due_at": None, "hint_at": None}
    purchase = add_purchase(begin, at=at, state=state, student_id=student_id, **{**closed, **facts})
    with begin() as session:
        ask_for_receipts(session, [purchase.id], now=at)
    return purchase


def issued(begin: Begin, settings: Settings, *, at: datetime) -> Sequence[Mapping[str, Any]]:
    """Every receipt that waits is worked, as by one worker; all that have a number, in its order."""
    drain(begin, UnrenewedLeases(), KeptHints(), settings=settings, now=at)
    return all_issued(begin)


def all_issued(begin: Begin) -> Sequence[Mapping[str, Any]]:
    with begin() as session:
        found = text("SELECT * FROM receipt WHERE issued_at IS NOT NULL ORDER BY year, serial")
        return [dict(row) for row in session.execute(found).mappings()]


def make_due(begin: Begin) -> None:
    """Whatever was put off, or is in the hands of a worker that is gone, may be taken now."""
    with begin() as session:
        soon = "due_at = clock_timestamp(), lease_until = NULL, lease_token = NULL"
        session.execute(text(f"UPDATE receipt SET {soon} WHERE due_at IS NOT NULL"))  # noqa: S608
