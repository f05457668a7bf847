"""What a purchase needs at Stripe: to have its payment made, or cancelled, or to be certain that there is none.

Claim and write the call down, call with no transaction open, record the answer under the claim's token.
"""

from datetime import datetime
from uuid import UUID

from sqlmodel import Session, select
from structlog.contextvars import bound_contextvars

from billing import students, work
from billing.db import repeated
from billing.errors import NoPaymentMethodError
from billing.gateway import GatewayError
from billing.messages import FollowUp, PreparePayment, PurchaseChanged
from billing.models import Purchase, StripeCall, Subscription
from billing.purchases import calls, changes
from billing.purchases.answers import Answers, Record
from billing.purchases.cancel import Cancellation, SubscriptionCancellation, cancel_now
from billing.purchases.desk import Desk
from billing.purchases.intents import IntentPursuit
from billing.purchases.pursuits import Aim
from billing.purchases.subscribing import Preparation, SubscriptionPursuit
from billing.purchases.waking import hear_again, wake_events
from billing.states import PlanType, PurchaseChannel, PurchaseState

WorkAtStripe = IntentPursuit | SubscriptionPursuit | Preparation | Cancellation


def prepare_payment(desk: Desk, message: PreparePayment) -> list[FollowUp]:
    """Bring one purchase to its intent, or to its end; for one that needs nothing it does nothing."""
    work_at_stripe, noted = repeated(desk.begin, lambda session: _begun(session, desk, message))
    changed = PurchaseChanged(purchase_id=message.purchase_id)
    if work_at_stripe is None:
        return list(dict.fromkeys([*noted, changed]))  # it may have been cancelled or given up just now
    request_id = work_at_stripe.claim.row.request_id
    with bound_contextvars(request_id=request_id), desk.leases.held(work_at_stripe.claim.token):
        try:
            record = work_at_stripe.pursue()
        except GatewayError as error:
            record = work_at_stripe.trouble(error)
        told = repeated(desk.begin, lambda session: _recorded(session, message.purchase_id, record))
        return list(dict.fromkeys([*noted, *told, changed]))


def _recorded(session: Session, purchase_id: UUID, record: Record) -> list[FollowUp]:
    told = record(session)
    purchase = session.get_one(Purchase, purchase_id)
    wake_events(session, purchase)
    if purchase.channel is PurchaseChannel.TOPUP:
        hear_again(session, purchase)
    return [*told, *changes.noted(session)]


def _begun(session: Session, desk: Desk, message: PreparePayment) -> tuple[WorkAtStripe | None, list[FollowUp]]:
    """What is to be done at Stripe, or that there is nothing to do there."""
    claim = work.claim(session, Purchase, message.purchase_id, desk.leases.terms)
    if claim is None:
        return None, []
    found = _look(session, desk, claim)
    if found is None:
        wake_events(session, claim.row)
    return found, changes.noted(session)


def _look(session: Session, desk: Desk, claim: work.Claim[Purchase]) -> WorkAtStripe | None:
    purchase = claim.row
    if work.is_worn_out(purchase, desk.leases.terms):
        Answers.wear_out(session, purchase, at=desk.now)
        return None
    if purchase.payment_intent_id is not None:
        return _cancellation(session, desk, claim)
    call = calls.open_call(session, purchase)
    if purchase.cancel_requested_at is not None and (call is None or call.sends == 0):
        cancel_now(session, purchase, at=desk.now)
        return None
    if purchase.student_id is None:
        purchase.student_id = students.find_or_make(session, students.Identity.of(purchase), at=desk.now)
    return _pursuit(session, desk, claim, call)


def _cancellation(session: Session, desk: Desk, claim: work.Claim[Purchase]) -> Cancellation:
    purchase = claim.row
    if purchase.subscription_id is None:
        return Cancellation(desk, claim)
    theirs = select(Subscription.stripe_subscription_id).where(Subscription.id == purchase.subscription_id)
    return SubscriptionCancellation(desk, claim, session.exec(theirs).one())


def _pursuit(
    session: Session, desk: Desk, claim: work.Claim[Purchase], call: StripeCall | None
) -> IntentPursuit | SubscriptionPursuit | Preparation | None:
    is_subscription = claim.row.plan_type is PlanType.SUBSCRIPTION
    if call is None and is_subscription:
        return _preparation(desk, claim)
    call = call or _intent_call(session, desk, claim.row)
    if call is None:
        return None
    aim = _aim(claim.row, call, desk.now)
    call.sends += aim is Aim.CREATE
    call.looks += aim is Aim.LOOK
    return (SubscriptionPursuit if is_subscription else IntentPursuit)(desk, claim, call, aim)


def _preparation(desk: Desk, claim: work.Claim[Purchase]) -> Preparation | None:
    if claim.row.state is PurchaseState.FAILED:  # its time was up before anything was sent
        work.close(claim.row)
        return None
    return Preparation(desk, claim)


def _intent_call(session: Session, desk: Desk, purchase: Purchase) -> StripeCall | None:
    version = desk.gateway.api_version
    try:
        return calls.write_call(session, purchase, desk.deployment, api_version=version, at=desk.now)
    except NoPaymentMethodError as refusal:
        Answers.refuse(session, purchase, refusal, at=desk.now)
        return None


def _aim(purchase: Purchase, call: StripeCall, now: datetime) -> Aim:
    """A purchase that was never tried is tried, however long it waited for a worker."""
    if purchase.state is PurchaseState.FAILED or (call.sends > 0 and now >= purchase.give_up_at):
        return Aim.END
    return Aim.LOOK if calls.is_doubtful(call, now) else Aim.CREATE
