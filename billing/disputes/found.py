"""A dispute as Stripe has it: its state moves hours and money of the purchase it is about, each step once."""

import structlog
from sqlmodel import Session, select

from billing import cases
from billing.disputes import effects
from billing.gateway import DisputeThere
from billing.ids import new_id
from billing.models import Dispute, Purchase, StaleMark
from billing.purchases.locks import lock_purchase
from billing.purchases.news import Context
from billing.states import DISPUTE_MOVES, PAID, DisputeState

log = structlog.get_logger(__name__)

STATES = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.CLOSED,
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
    "prevented": DisputeState.CLOSED,
}
"""Stripe, "The Dispute object", attribute `status`."""
BEFORE_MONEY_MOVES = ("warning_", "prevented")
"""How the statuses of those begin that never took anything."""


def apply_dispute(session: Session, mark: StaleMark, found: DisputeThere, context: Context) -> bool:
    """False where the purchase is not known to be paid yet: its hours cannot be frozen before they are there."""
    purchase = lock_purchase(session, mark.purchase_id)
    if purchase.state not in PAID:
        return False
    dispute = _locked(session, found) or _opened(session, purchase, found, context)
    _note_facts(dispute, found)
    _move(session, purchase, dispute, found, context)
    return True


def _locked(session: Session, found: DisputeThere) -> Dispute | None:
    ours = select(Dispute).where(Dispute.stripe_dispute_id == found.id)
    return session.exec(ours.with_for_update().execution_options(populate_existing=True)).first()


def _opened(session: Session, purchase: Purchase, found: DisputeThere, context: Context) -> Dispute:
    """The first that we hear of it, whatever became of it meanwhile: it begins as what it began as."""
    dispute = Dispute(
        id=new_id(),
        stripe_dispute_id=found.id,
        purchase_id=purchase.id,
        amount_cents=found.amount_cents,
        currency=found.currency,
        reason=found.reason,
        status=found.status,
        state=DisputeState.INQUIRY,
        opened_at=found.created_at,
    )
    session.add(dispute)
    if not found.status.startswith(BEFORE_MONEY_MOVES):
        _enter(session, purchase, dispute, DisputeState.OPEN, context)
    else:
        effects.open_inquiry(session, purchase, dispute, at=context.now)
    return dispute


def _note_facts(dispute: Dispute, found: DisputeThere) -> None:
    dispute.status, dispute.reason = found.status, found.reason
    dispute.withdrawn_cents = found.withdrawn_cents
    dispute.evidence_due_at = found.evidence_due_at


def _move(session: Session, purchase: Purchase, dispute: Dispute, found: DisputeThere, context: Context) -> None:
    target = STATES.get(found.status, dispute.state)
    if target is dispute.state:
        if target is DisputeState.LOST:
            effects.lose_more(session, purchase, dispute, context.now)
        return
    if target not in DISPUTE_MOVES[dispute.state]:
        detail = f"it is {dispute.state} here and {found.status} at Stripe"
        source = f"{found.id}:{found.status}"
        cases.open_case(session, "dispute_differs", source, purchase_id=purchase.id, detail=detail, at=context.now)
        return
    _enter(session, purchase, dispute, target, context)
    log.info("dispute_moved", dispute_id=found.id, state=target)


def _enter(session: Session, purchase: Purchase, dispute: Dispute, target: DisputeState, context: Context) -> None:
    if target is DisputeState.LOST and dispute.state is DisputeState.INQUIRY:
        _enter(session, purchase, dispute, DisputeState.OPEN, context)
    dispute.state = target
    if target in effects.DECIDED:
        dispute.decided_at = context.now
    effects.EFFECTS[target](session, purchase, dispute, context)
