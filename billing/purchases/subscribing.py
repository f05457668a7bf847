"""The subscription that a purchase begins: its customer and its price first, then itself with its first invoice."""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from billing import work
from billing.customers.ensure import ensure_customer
from billing.db import repeated
from billing.errors import AlreadySubscribedError
from billing.gateway import GatewayError, InvalidRequestError, OutcomeUnknownError
from billing.ids import stripe_key
from billing.models import Purchase, Subscription
from billing.purchases import calls
from billing.purchases.answers import Answers, Record
from billing.purchases.cancel import CANCEL_SUBSCRIPTION, cancel_now
from billing.purchases.desk import Desk
from billing.purchases.pursuits import Aim, Pursuit
from billing.recurring import Begun
from billing.states import ENDED_SUBSCRIPTIONS, LIVE_SUBSCRIPTIONS
from billing.subscriptions.prices import ensure_price


@dataclass(frozen=True, slots=True)
class SubscriptionPursuit(Pursuit[Begun]):
    def create(self) -> Record:
        return self.kept(self.desk.gateway.create_subscription(calls.stored(self.call)))

    def look(self) -> Begun | None:
        return self.desk.gateway.find_subscription(self.call.parameters["customer"], self.mark)

    def kept(self, found: Begun) -> Record:
        if found.invoice.payment_intent_id is None or found.invoice.client_secret is None:
            raise OutcomeUnknownError("The first invoice is not ready to be paid; we go on trying.")
        return self.answers.begun(found)

    def end(self, found: Begun) -> Record:
        there = found.subscription
        if there.status in ENDED_SUBSCRIPTIONS:
            return self.answers.ended(there.id)
        if there.status in LIVE_SUBSCRIPTIONS:
            return self.kept(found)
        key = stripe_key(self.desk.deployment.installation, CANCEL_SUBSCRIPTION, self.claim.row.id, self.call.attempt)
        try:
            return self.answers.ended(self.desk.gateway.cancel_subscription(there.id, key).id)
        except InvalidRequestError:  # it has ended by itself meanwhile
            return self.answers.ended(there.id)


@dataclass(frozen=True, slots=True)
class Preparation:
    """A claimed purchase of a subscription whose create is not written down yet: it needs names of Stripe's first."""

    desk: Desk
    claim: work.Claim[Purchase]

    def pursue(self) -> Record:
        purchase = self.claim.row
        customer_id = ensure_customer(self.desk, purchase.student_id or 0)
        price_id = ensure_price(self.desk, purchase.plan_version_id)
        terms = calls.SubscriptionTerms(customer_id, price_id)
        pursuit = repeated(self.desk.begin, lambda session: self._written(session, terms))
        if pursuit is None:
            return lambda _: []
        try:
            return pursuit.pursue()
        except GatewayError as error:
            return pursuit.trouble(error)

    def trouble(self, error: GatewayError) -> Record:
        return Answers(self.claim, None, self.desk.vault, self.desk.deployment, self.desk.now).trouble(
            error, is_over=self.desk.now >= self.claim.row.give_up_at
        )

    def _written(self, session: Session, terms: calls.SubscriptionTerms) -> SubscriptionPursuit | None:
        """A wish to cancel may have come meanwhile, or another subscription: both are looked for under lock."""
        (purchase,) = work.resume(session, self.claim)
        if purchase.cancel_requested_at is not None:
            cancel_now(session, purchase, at=self.desk.now)
            return None
        if _is_subscribed(session, purchase):
            refusal = AlreadySubscribedError("This student has a subscription; its plan can be changed instead.")
            Answers.refuse(session, purchase, refusal, at=self.desk.now)
            return None
        version = self.desk.gateway.api_version
        call = calls.write_subscription_call(
            session, purchase, terms, self.desk.deployment, api_version=version, at=self.desk.now
        )
        call.sends += 1
        return SubscriptionPursuit(self.desk, self.claim, call, Aim.CREATE)


def _is_subscribed(session: Session, purchase: Purchase) -> bool:
    live = select(Subscription.id).where(
        Subscription.student_id == purchase.student_id, col(Subscription.status).in_(LIVE_SUBSCRIPTIONS)
    )
    return session.exec(live).first() is not None
