"""What a transaction wants told once it is committed: noted where it is done, told by the use case.

A note costs its readers one look at a row, so one too many does no harm.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlmodel import Session

from billing.messages import FollowUp, PurchaseChanged

NOTED = "follow-ups"


def note(session: Session, purchase_ids: Iterable[UUID]) -> None:
    """Purchases that changed for those who follow them."""
    _note(session, (PurchaseChanged(purchase_id=purchase_id) for purchase_id in purchase_ids))


def follow_up(session: Session, told: FollowUp) -> None:
    """The hint of open work that the same transaction makes, or news for those who wait for something else."""
    _note(session, [told])


def noted(session: Session) -> list[FollowUp]:
    return list(session.info.get(NOTED, ()))


def _note(session: Session, follow_ups: Iterable[FollowUp]) -> None:
    session.info.setdefault(NOTED, {}).update(dict.fromkeys(follow_ups))
