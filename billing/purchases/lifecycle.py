"""How a purchase moves: only as the table of moves allows, and never without a line in its timeline."""

from datetime import datetime

from sqlmodel import Session

from billing.errors import BillingError
from billing.gateway import Intent
from billing.models import Purchase, PurchaseTransition
from billing.purchases import changes
from billing.states import PURCHASE_MOVES, SETTLED, PlanType, PurchaseState, Step

DECLINED = "The payment was declined; another card may work."
CARD_ERROR = "card_error"


class IllegalMoveError(BillingError):
    """The code tried a move that the table does not have: a defect, never news."""


def can_move(current: PurchaseState, target: PurchaseState) -> bool:
    return target in PURCHASE_MOVES[current]


def move_to(purchase: Purchase, target: PurchaseState) -> None:
    if not can_move(purchase.state, target):
        raise IllegalMoveError(f"{purchase.state} -> {target}")
    purchase.state = target
    if target in SETTLED:
        purchase.client_secret = None


def take_money_back(purchase: Purchase) -> None:
    """Money that had gone is here again, by a refund that failed or a dispute that was won after all: a purchase that
    was wholly refunded is what it was before."""
    if purchase.state is PurchaseState.REFUNDED:
        purchase.state = PurchaseState.COMPLETED


def end_of(purchase: Purchase) -> tuple[PurchaseState, Step]:
    """What a purchase becomes whose intent was cancelled: nobody wanted it any more, or nobody paid in time.

    A subscription whose first invoice is not paid in time is ended by Stripe itself.
    """
    is_ended_by_stripe = purchase.plan_type is PlanType.SUBSCRIPTION and purchase.cancel_requested_at is None
    if purchase.abandoned_at is None and not is_ended_by_stripe:
        return PurchaseState.CANCELLED, Step.CANCELLED
    return PurchaseState.EXPIRED, Step.EXPIRED


def note_step(session: Session, purchase: Purchase, step: Step, *, cause: str, at: datetime) -> None:
    """Add a line to the timeline; `cause` is the event or the work that brought it."""
    changes.note(session, [purchase.id])
    session.add(PurchaseTransition(purchase_id=purchase.id, step=step, state=purchase.state, cause=cause, at=at))


def fail(session: Session, purchase: Purchase, error_type: str, message: str, *, cause: str, at: datetime) -> None:
    """What the buyer is told: Stripe's class of error and a sentence that is safe to show."""
    move_to(purchase, PurchaseState.FAILED)
    purchase.error_type, purchase.error_message = error_type, message[:500]
    note_step(session, purchase, Step.PAYMENT_FAILED, cause=cause, at=at)


def fail_payment(session: Session, purchase: Purchase, intent: Intent, *, at: datetime) -> None:
    """The last try to pay it failed; its owner can still pay, with this card or with another."""
    message = intent.error_message or DECLINED
    fail(session, purchase, intent.error_type or CARD_ERROR, message, cause=intent.id, at=at)
