"""Ask Stripe what is true of a marked object, apply it, and ask again where it was marked meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlmodel import Session
from structlog.contextvars import bound_contextvars

from billing import cases, retry, troubles, work
from billing.customers.found import apply_customer, ask_customer
from billing.db import repeated
from billing.disputes.found import apply_dispute
from billing.gateway import GatewayError, PaymentGateway
from billing.messages import AskStripe, FollowUp
from billing.models import StaleMark
from billing.purchases import changes
from billing.purchases.desk import Desk
from billing.purchases.news import Context
from billing.refunds.found import apply_refunds
from billing.states import StaleKind
from billing.subscriptions.found import apply_subscription, ask_subscription

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """`ask` is called with no transaction open; `apply` writes what it answered, in one.

    It says False where it cannot yet. `lacking` says for people what it waits for, and `case` is opened where that
    takes too long.
    """

    ask: Callable[[PaymentGateway, str], Any]
    apply: Callable[[Session, StaleMark, Any, Context], bool]
    lacking: str = "its purchase is not known to be paid"
    case: str = "money_back_unpaid"


ASKING: Mapping[StaleKind, Asking] = {
    StaleKind.REFUNDS: Asking(lambda gateway, intent_id: gateway.list_refunds(intent_id), apply_refunds),
    StaleKind.DISPUTE: Asking(lambda gateway, dispute_id: gateway.retrieve_dispute(dispute_id), apply_dispute),
    StaleKind.SUBSCRIPTION: Asking(
        ask_subscription, apply_subscription, "its purchase has not kept it yet", "subscription_not_kept"
    ),
    StaleKind.CUSTOMER: Asking(ask_customer, apply_customer),
}


def ask_stripe(desk: Desk, message: AskStripe) -> Sequence[FollowUp]:
    """For a mark that was seen to already it does nothing."""
    claim = repeated(
        desk.begin,
        lambda session: work.claim_unless_worn_out(session, StaleMark, message.mark_id, desk.leases.terms),
    )
    if claim is None:
        return []
    asking = ASKING[claim.row.subject]
    with bound_contextvars(request_id=claim.row.request_id), desk.leases.held(claim.token):
        try:
            answer = asking.ask(desk.gateway, claim.row.object_id)
        except GatewayError as error:
            trouble = error
            return repeated(desk.begin, lambda session: _put_off(session, claim, trouble))
        return repeated(desk.begin, lambda session: _apply(session, desk, claim, asking, answer))


def _apply(
    session: Session, desk: Desk, claim: work.Claim[StaleMark], asking: Asking, answer: object
) -> list[FollowUp]:
    """The mark is locked last: who has it, an event that marks once more above all, never waits for us in a circle.

    Where it is in other hands by then, nothing of this was.
    """
    is_applied = asking.apply(session, claim.row, answer, Context(desk.deployment, desk.now, desk.vault))
    (mark,) = work.resume(session, claim)
    if not is_applied:
        return _wait(session, desk, mark)
    log.info("stripe_asked", subject=mark.subject, object_id=mark.object_id)
    if mark.marks == claim.row.marks:
        work.close(mark)
        return changes.noted(session)
    work.rest(mark, timedelta())  # marked again meanwhile
    return [*changes.noted(session), AskStripe(mark_id=claim.row.id or 0)]


def _wait(session: Session, desk: Desk, mark: StaleMark) -> list[FollowUp]:
    """What lacks should be there in a moment. Where it is not, a person has to look, and we go on asking."""
    asking, wait = ASKING[mark.subject], retry.after(retry.EVENT, mark.deferrals)
    reason = asking.lacking
    if wait is None:
        wait = retry.after(retry.ON_ITS_WAY, mark.deferrals - len(retry.EVENT.seconds)) or retry.LONGEST
        source = f"{mark.subject}:{mark.object_id}"
        cases.open_case(session, asking.case, source, purchase_id=mark.purchase_id, detail=reason, at=desk.now)
    work.put_off(mark, wait, reason)
    return []


def _put_off(session: Session, claim: work.Claim[StaleMark], error: GatewayError) -> list[FollowUp]:
    """Again later; what Stripe will never answer is left to people."""
    (mark,) = work.resume(session, claim)
    log.warning("asking_put_off", subject=mark.subject, object_id=mark.object_id, error=str(error))
    troubles.put_off(mark, error, error.wait_unless_final(mark.deferrals))
    return []
