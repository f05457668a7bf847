"""A subscription as Stripe has it, with its invoices: written down, and what was paid for credited once."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session

from billing.gateway import PaymentGateway
from billing.models import StaleMark
from billing.purchases.news import Context
from billing.recurring import InvoiceThere, SubscriptionThere


@dataclass(frozen=True, slots=True)
class SubscriptionFound:
    """All that is asked of Stripe when a subscription may have changed."""

    subscription: SubscriptionThere
    invoices: Sequence[InvoiceThere]


def ask_subscription(gateway: PaymentGateway, subscription_id: str) -> SubscriptionFound:
    return SubscriptionFound(gateway.retrieve_subscription(subscription_id), gateway.list_invoices(subscription_id))


def apply_subscription(session: Session, mark: StaleMark, found: SubscriptionFound, context: Context) -> bool:
    raise NotImplementedError


def keep_begun(session: Session, student_id: int, there: SubscriptionThere) -> UUID:
    """The row of a subscription that was just created; the same one where it is there already."""
    raise NotImplementedError


def apply_change(session: Session, there: SubscriptionThere) -> None:
    """What Stripe answered to a change of ours: the row is brought up to it, and Stripe asked about the rest."""
    raise NotImplementedError
