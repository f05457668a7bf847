"""Which purchases a transaction changed: noted where it is done, told by the use case after its commit.

A note costs its readers one look at a row, so one too many does no harm.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlmodel import Session

from billing.messages import PurchaseChanged

NOTED = "changed purchases"


def note(session: Session, purchase_ids: Iterable[UUID]) -> None:
    session.info.setdefault(NOTED, {}).update(dict.fromkeys(purchase_ids))


def noted(session: Session) -> list[PurchaseChanged]:
    return [PurchaseChanged(purchase_id=purchase_id) for purchase_id in session.info.get(NOTED, ())]
