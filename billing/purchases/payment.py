"""What a queued purchase needs at Stripe: its intent; or, when its time is up, the certainty that there is none.

Claim and write the call down, call with no transaction open, record the answer under the claim's token. Whatever
happens between, the next worker sends the same key with the same parameters, or looks the object up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from sqlmodel import Session
from structlog.contextvars import bound_contextvars

from billing import students, work
from billing.db import repeated
from billing.gateway import GatewayError, Intent, InvalidRequestError
from billing.ids import installation_mark, stripe_key
from billing.messages import FollowUp, PreparePayment, PurchaseChanged
from billing.models import Purchase, StripeCall
from billing.purchases import calls
from billing.purchases.answers import Answers, Record
from billing.purchases.cancel import CANCEL_INTENT, Cancellation, cancel_now
from billing.purchases.desk import Desk
from billing.states import PurchaseState

CLOCKS_DIFFER = timedelta(hours=1)
"""How far Stripe's clock and ours may be apart when an object is looked for by its time."""


class Aim(Enum):
    CREATE = auto()
    LOOK = auto()
    """It was sent so often, or so long ago, that the object is looked for before anything is sent again."""
    END = auto()
    """Its time is up: nothing is created any more, and what is there is cancelled."""


@dataclass(frozen=True, slots=True)
class Pursuit:
    """A purchase in our hands, the call that is written down for it, and what is to be done."""

    desk: Desk
    claim: work.Claim[Purchase]
    call: StripeCall
    aim: Aim

    @property
    def answers(self) -> Answers:
        return Answers(self.claim, self.call.id, self.desk.vault, self.desk.deployment, self.desk.now)

    def pursue(self) -> Record:
        if self.aim is Aim.CREATE:
            return self.answers.kept(self.desk.gateway.create_intent(calls.stored(self.call)))
        found = self._look()
        if self.aim is Aim.LOOK:
            return self.answers.kept(found) if found else self.answers.not_there()
        return self._end(found)

    def trouble(self, error: GatewayError) -> Record:
        return self.answers.trouble(error, is_over=self.aim is Aim.END)

    def _look(self) -> Intent | None:
        mark = installation_mark(self.desk.deployment.installation, self.claim.row.id)
        then, now = self.call.prepared_at, self.desk.now  # in that order, unless a clock was set back meanwhile
        since, until = min(then, now) - CLOCKS_DIFFER, max(then, now) + CLOCKS_DIFFER
        return self.desk.gateway.find_intent(mark, since, until)

    def _end(self, found: Intent | None) -> Record:
        """Cancel what is there; where Stripe says that it was paid meanwhile, the purchase goes on."""
        if found is None:
            return self.answers.ended(None)
        key = stripe_key(self.desk.deployment.installation, CANCEL_INTENT, self.claim.row.id, self.call.attempt)
        try:
            return self.answers.ended(self.desk.gateway.cancel_intent(found.id, key))
        except InvalidRequestError:
            present = self.desk.gateway.retrieve_intent(found.id)
        return self.answers.ended(present) if present.status == "canceled" else self.answers.kept(present)


def prepare_payment(desk: Desk, message: PreparePayment) -> list[FollowUp]:
    """Bring one purchase to its intent, or to its end; for one that needs nothing it does nothing."""
    work_at_stripe = repeated(desk.begin, lambda session: _take(session, desk, message))
    changed = PurchaseChanged(purchase_id=message.purchase_id)
    if work_at_stripe is None:
        return [changed]  # it may have been cancelled or given up just now
    request_id = work_at_stripe.claim.row.request_id
    with bound_contextvars(request_id=request_id), desk.leases.held(work_at_stripe.claim.token):
        try:
            record = work_at_stripe.pursue()
        except GatewayError as error:
            record = work_at_stripe.trouble(error)
        return [*repeated(desk.begin, record), changed]


def _take(session: Session, desk: Desk, message: PreparePayment) -> Pursuit | Cancellation | None:
    claim = work.claim(session, Purchase, message.purchase_id, desk.leases.terms)
    if claim is None:
        return None
    purchase = claim.row
    if work.is_worn_out(purchase, desk.leases.terms):
        Answers.wear_out(session, purchase, at=desk.now)
        return None
    if purchase.payment_intent_id is not None:
        return Cancellation(desk, claim)
    call = calls.open_call(session, purchase)
    if purchase.cancel_requested_at is not None and (call is None or call.sends == 0):
        cancel_now(session, purchase, at=desk.now)
        return None
    return _pursuit(session, desk, claim, call)


def _pursuit(session: Session, desk: Desk, claim: work.Claim[Purchase], call: StripeCall | None) -> Pursuit:
    purchase = claim.row
    if purchase.student_id is None:
        purchase.student_id = students.find_or_make(session, students.Identity.of(purchase), at=desk.now)
    if call is None:
        version = desk.gateway.api_version
        call = calls.write_call(session, purchase, desk.deployment, api_version=version, at=desk.now)
    aim = _aim(purchase, call, desk.now)
    call.sends += aim is Aim.CREATE
    call.looks += aim is Aim.LOOK
    return Pursuit(desk, claim, call, aim)


def _aim(purchase: Purchase, call: StripeCall, now: datetime) -> Aim:
    """A purchase that was never tried is tried, however long it waited for a worker."""
    if purchase.state is PurchaseState.FAILED or (call.sends > 0 and now >= purchase.give_up_at):
        return Aim.END
    return Aim.LOOK if calls.is_doubtful(call, now) else Aim.CREATE
