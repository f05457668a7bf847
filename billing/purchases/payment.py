"""What a queued purchase needs at Stripe: its intent; or, when its time is up, the certainty that there is none.

Claim and write the call down, call with no transaction open, record the answer under the claim's token. Whatever
happens between, the next worker sends the same key with the same parameters, or looks the object up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

import structlog
from sqlmodel import Session

from billing import students, work
from billing.db import Begin, repeated
from billing.deployment import Deployment
from billing.gateway import GatewayError, Intent, InvalidRequestError, PaymentGateway
from billing.ids import installation_mark, stripe_key
from billing.messages import Message, PreparePayment
from billing.models import Purchase, StripeCall
from billing.purchases import calls
from billing.purchases.answers import Answers, Record
from billing.secrets import Vault
from billing.states import PurchaseState

CLOCKS_DIFFER = timedelta(hours=1)
"""How far Stripe's clock and ours may be apart when an object is looked for by its time."""

CANCEL_INTENT = "payment_intent.cancel"


class Aim(Enum):
    CREATE = auto()
    LOOK = auto()
    """It was sent so often, or so long ago, that the object is looked for before anything is sent again."""
    END = auto()
    """Its time is up: nothing is created any more, and what is there is cancelled."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker needs to pursue a payment."""

    begin: Begin
    gateway: PaymentGateway
    leases: work.Leases
    vault: Vault
    deployment: Deployment
    now: datetime


@dataclass(frozen=True, slots=True)
class Pursuit:
    """A purchase in our hands, the call that is written down for it, and what is to be done."""

    claim: work.Claim[Purchase]
    call: StripeCall
    aim: Aim


def prepare_payment(desk: Desk, message: PreparePayment) -> list[Message]:
    """Bring one purchase to its intent, or to its end; for one that needs nothing it does nothing."""
    pursuit = repeated(desk.begin, lambda session: _take(session, desk, message))
    if pursuit is None:
        return []
    structlog.contextvars.bind_contextvars(request_id=pursuit.claim.row.request_id)
    answers = Answers(pursuit.claim, pursuit.call.id, desk.vault, desk.deployment, desk.now)
    with desk.leases.held(pursuit.claim.token):
        try:
            record = _pursue(desk, pursuit, answers)
        except GatewayError as error:
            record = answers.trouble(error, is_over=pursuit.aim is Aim.END)
        return repeated(desk.begin, record)


def _take(session: Session, desk: Desk, message: PreparePayment) -> Pursuit | None:
    claim = work.claim(session, Purchase, message.purchase_id, desk.leases.terms)
    if claim is None:
        return None
    purchase = claim.row
    if work.is_worn_out(purchase, desk.leases.terms):
        Answers.wear_out(session, purchase, at=desk.now)
        return None
    if purchase.student_id is None:
        purchase.student_id = students.find_or_make(session, students.Identity.of(purchase), at=desk.now)
    call = calls.open_call(session, purchase) or calls.write_call(
        session, purchase, desk.deployment, api_version=desk.gateway.api_version, at=desk.now
    )
    aim = _aim(purchase, call, desk.now)
    call.sends += aim is Aim.CREATE
    call.looks += aim is Aim.LOOK
    return Pursuit(claim, call, aim)


def _aim(purchase: Purchase, call: StripeCall, now: datetime) -> Aim:
    """A purchase that was never tried is tried, however long it waited for a worker."""
    if purchase.state is PurchaseState.FAILED or (call.sends > 0 and now >= purchase.give_up_at):
        return Aim.END
    return Aim.LOOK if calls.is_doubtful(call, now) else Aim.CREATE


def _pursue(desk: Desk, pursuit: Pursuit, answers: Answers) -> Record:
    if pursuit.aim is Aim.CREATE:
        return answers.kept(desk.gateway.create_intent(calls.stored(pursuit.call)))
    found = _look(desk, pursuit)
    if pursuit.aim is Aim.LOOK:
        return answers.kept(found) if found else answers.not_there()
    return _end(desk, pursuit, answers, found)


def _look(desk: Desk, pursuit: Pursuit) -> Intent | None:
    mark = installation_mark(desk.deployment.installation, pursuit.claim.row.id)
    since, until = pursuit.call.prepared_at - CLOCKS_DIFFER, desk.now + CLOCKS_DIFFER
    return desk.gateway.find_intent(mark, since, until)


def _end(desk: Desk, pursuit: Pursuit, answers: Answers, found: Intent | None) -> Record:
    """Cancel what is there; where Stripe says that it was paid meanwhile, the purchase goes on."""
    if found is None:
        return answers.ended(None)
    key = stripe_key(desk.deployment.installation, CANCEL_INTENT, pursuit.claim.row.id, pursuit.call.attempt)
    try:
        return answers.ended(desk.gateway.cancel_intent(found.id, key))
    except InvalidRequestError:
        present = desk.gateway.retrieve_intent(found.id)
    return answers.ended(present) if present.status == "canceled" else answers.kept(present)
