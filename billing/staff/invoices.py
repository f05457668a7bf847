"""The name of an invoice on the receipt of its payment."""

from sqlmodel import Session

from billing.models import StaffAct
from billing.receipts.invoice import set_invoice
from billing.staff.effects import Context, Effect
from billing.staff.wishes import SetInvoice


def name_invoice(session: Session, act: StaffAct, context: Context) -> Effect:
    """The receipt is printed anew."""
    wish = SetInvoice.model_validate(act.parameters)
    before = set_invoice(session, wish.receipt_id, wish.invoice_ref)
    return Effect({"invoice_ref": before}, {"invoice_ref": wish.invoice_ref})
