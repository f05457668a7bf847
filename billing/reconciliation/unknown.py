"""A payment with our mark that no purchase has: its purchase gets it back, or people decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlmodel import Session, col, select

from billing import cases
from billing.db import repeated
from billing.gateway import CLOCKS_DIFFER, Intent
from billing.ids import marked_subject
from billing.messages import FollowUp
from billing.models import Purchase, StripeCall
from billing.purchases import calls, changes, completion
from billing.purchases.desk import Desk
from billing.purchases.waking import wake_events
from billing.reconciliation.findings import Difference
from billing.states import CallState, FindingKind, PlanType, PurchaseState

log = structlog.get_logger(__name__)
CASE = "unknown_payment"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of it: a difference, or its purchase has it now, or neither, for a worker has it in its hands."""

    difference: Difference | None = None
    is_adopted: bool = False
    follow_ups: Sequence[FollowUp] = ()


def settle(desk: Desk, intent: Intent, *, is_dry: bool = False) -> Settled:
    """`intent` was paid, is not in any of our rows and carries our mark. A dry look writes and adopts nothing."""
    return repeated(desk.begin, lambda session: _settle(session, desk, intent, is_dry=is_dry))


def _settle(session: Session, desk: Desk, intent: Intent, *, is_dry: bool) -> Settled:
    purchase_id = marked_subject(desk.deployment.installation, intent.mark)
    ours = select(Purchase).where(Purchase.id == purchase_id).with_for_update()
    purchase = session.exec(ours.execution_options(populate_existing=True)).first()
    if purchase is not None and _is_in_hand(purchase, intent):
        return Settled()
    call = None if purchase is None else _call_that_made(session, desk, purchase, intent)
    if purchase is not None and call is not None and not is_dry:
        return _adopt(session, desk, purchase, call, intent)
    difference = _difference(purchase, intent, is_adoptable=call is not None)
    if not is_dry:
        _open_case(session, desk, difference)
    return Settled(difference)


def _is_in_hand(purchase: Purchase, intent: Intent) -> bool:
    """Its worker has stored it meanwhile, or is about to: whoever pursues a purchase sends or looks until he knows."""
    if purchase.payment_intent_id is None:
        return purchase.due_at is not None
    return purchase.payment_intent_id == intent.id


def _call_that_made(session: Session, desk: Desk, purchase: Purchase, intent: Intent) -> StripeCall | None:
    """The call of ours that this payment answers, beyond doubt; a mark alone could be anybody's.

    Nothing else may ever have answered a call of this purchase, and everything has to be as it was sold.
    """
    paid = (intent.amount_received_cents, intent.currency, intent.livemode)
    if paid != (purchase.price_cents, purchase.currency, desk.deployment.livemode):
        return None
    if purchase.plan_type is not PlanType.PACKAGE or purchase.student_id is None:
        return None
    if purchase.state is not PurchaseState.FAILED or purchase.payment_intent_id is not None:
        return None
    return _unanswered(session, purchase.id, intent)


def _unanswered(session: Session, purchase_id: UUID, intent: Intent) -> StripeCall | None:
    theirs = select(StripeCall).where(
        StripeCall.purchase_id == purchase_id, StripeCall.operation == calls.CREATE_INTENT
    )
    made = session.exec(theirs.order_by(col(StripeCall.attempt).desc())).all()
    if any(call.object_id not in (None, intent.id) for call in made):
        return None
    sent = (call for call in made if call.sends > 0 and call.prepared_at - CLOCKS_DIFFER <= intent.created_at)
    return next(sent, None)


def _adopt(session: Session, desk: Desk, purchase: Purchase, call: StripeCall, intent: Intent) -> Settled:
    calls.close_call(call, CallState.ANSWERED, at=desk.now, object_id=intent.id)
    purchase.payment_intent_id = intent.id
    wake_events(session, purchase)
    completion.complete_found(session, purchase, intent, desk.deployment, now=desk.now)
    log.warning("payment_adopted", purchase_id=str(purchase.id), intent_id=intent.id)
    return Settled(is_adopted=True, follow_ups=changes.noted(session))


def _difference(purchase: Purchase | None, intent: Intent, *, is_adoptable: bool) -> Difference:
    return Difference(
        FindingKind.UNKNOWN_PAYMENT,
        intent.id,
        _words(purchase, intent, is_adoptable=is_adoptable),
        None if purchase is None else purchase.id,
        None if purchase is None else purchase.price_cents,
        intent.amount_received_cents,
    )


def _words(purchase: Purchase | None, intent: Intent, *, is_adoptable: bool) -> str:
    if purchase is None:
        return f"paid at Stripe for the purchase {intent.mark}, which is not here: adopt or refund"
    if is_adoptable:
        return "paid at Stripe for a purchase that failed here before it knew the payment: it can be adopted"
    if purchase.payment_intent_id is not None:
        return f"paid at Stripe beside {purchase.payment_intent_id} of the same purchase: refund"
    sold, paid = f"{purchase.price_cents} {purchase.currency}", f"{intent.amount_received_cents} {intent.currency}"
    return f"paid at Stripe ({paid}) for a purchase ({sold}) that is {purchase.state} here: adopt or refund"


def _open_case(session: Session, desk: Desk, difference: Difference) -> None:
    cases.open_case(
        session,
        CASE,
        difference.source,
        purchase_id=difference.purchase_id,
        detail=difference.detail,
        at=desk.now,
    )
