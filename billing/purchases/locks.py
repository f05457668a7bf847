"""A purchase under lock: before its refunds and its balance, as everybody does."""

from uuid import UUID

from sqlmodel import Session, select

from billing.models import Purchase


def lock_purchase(session: Session, purchase_id: UUID | None) -> Purchase:
    ours = select(Purchase).where(Purchase.id == purchase_id)
    return session.exec(ours.with_for_update().execution_options(populate_existing=True)).one()
