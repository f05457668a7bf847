"""Issue receipts: numbers, facts, pages and the end of the work in one transaction, so that no number gets lost."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlmodel import Session

from billing import retry, work
from billing.models import Receipt
from billing.receipts import numbers
from billing.receipts.facts import Facts, Issuer, in_order_of_payment
from billing.receipts.page import print_receipt

log = structlog.get_logger(__name__)
OTHERS_ISSUE = timedelta(seconds=0.25)


def issue_batch(session: Session, claim: work.Claim[Receipt], issuer: Issuer, *, now: datetime) -> None:
    """In the order in which they were paid."""
    _issue(session, work.resume(session, claim), issuer, now)


def issue_alone(
    session: Session, claim: work.Claim[Receipt], issuer: Issuer, terms: work.LeaseTerms, *, now: datetime
) -> None:
    """One that was tried before; where it breaks, its number was not drawn."""
    (row,) = work.resume(session, claim)
    if work.is_worn_out(row, terms):
        work.give_up(row, f"lost {terms.lost_claims} times by the workers that had it")
        return
    _issue(session, [row], issuer, now)


def hand_back_unworked(session: Session, claim: work.Claim[Receipt]) -> None:
    """As if it had not been taken, so that what waits for another issuer is not worked one by one afterwards."""
    for row in work.resume(session, claim):
        work.hand_back(row, OTHERS_ISSUE, "others were issuing")


def hand_back_or_give_up(session: Session, claim: work.Claim[Receipt], reason: str) -> None:
    for row in work.resume(session, claim):
        work.put_off_or_give_up(row, retry.after(retry.HANDLER_ERROR, row.deferrals), reason)


def page_of(receipt: Receipt, facts: Facts) -> bytes:
    """A numbered receipt as it is printed now."""
    if receipt.year is None or receipt.serial is None or receipt.issued_at is None:
        raise ValueError("a receipt without a number cannot be printed")
    number = numbers.written(receipt.year, receipt.serial)
    return print_receipt(number, facts, issued_at=receipt.issued_at, invoice_ref=receipt.invoice_ref)


def _issue(session: Session, rows: Sequence[Receipt], issuer: Issuer, now: datetime) -> None:
    """The counter of the year is locked from the draw to the commit: a page takes milliseconds."""
    waiting = {row.id: row for row in rows if row.issued_at is None}
    for row in rows:
        work.close(row)
    if waiting:
        _number(session, waiting, issuer, now)
    log.info("receipts_issued", receipts=len(waiting))


def _number(session: Session, waiting: Mapping[UUID, Receipt], issuer: Issuer, now: datetime) -> None:
    drawn = numbers.draw(session, issuer.year_of(now), len(waiting), at=now)
    paid = in_order_of_payment(session, list(waiting), issuer, issued_at=drawn.issued_at)
    for serial, (receipt_id, facts) in enumerate(paid, drawn.first):
        row = waiting[receipt_id]
        row.year, row.serial, row.issued_at, row.facts = drawn.year, serial, drawn.issued_at, facts.kept()
        row.pdf = page_of(row, facts)
        session.flush()  # a transaction that is idle for long is ended by the database
