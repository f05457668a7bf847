"""The name that an invoicing system gave to a payment's invoice, told by staff or by that system."""

from uuid import UUID

from sqlmodel import Session, col, select

from billing.errors import NotFoundError, RefusedError
from billing.models import Receipt
from billing.receipts.facts import Facts
from billing.receipts.issue import page_of

LONGEST = 100


def set_invoice(session: Session, receipt_id: UUID, invoice_ref: str) -> str | None:
    """Store it and print the receipt anew, from the same facts under the same number; returns what was there before.

    Raises NotFoundError where no such receipt was issued, RefusedError where this is no name.
    """
    ref = invoice_ref.strip()
    if not 0 < len(ref) <= LONGEST or not ref.isprintable():
        raise RefusedError(f"invoice_ref: must have 1 to {LONGEST} printable characters")
    wanted = select(Receipt).where(Receipt.id == receipt_id, col(Receipt.issued_at).is_not(None))
    receipt = session.scalars(wanted.with_for_update()).one_or_none()
    if receipt is None:
        raise NotFoundError("no such receipt was issued")
    before, receipt.invoice_ref = receipt.invoice_ref, ref
    receipt.pdf = page_of(receipt, Facts.model_validate(receipt.facts))
    session.flush()
    return before
