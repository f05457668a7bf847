"""Students who subscribe: their rows, what Stripe has of them, the events it sends, and who asks it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlmodel import col, select

from billing import ledger, work
from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.gateway import StoredCall
from billing.ids import installation_mark, new_id
from billing.messages import AskStripe
from billing.models import (
    HourLot,
    PricingPlanVersion,
    Purchase,
    StripeCustomer,
    StripePrice,
    Subscription,
    WebhookEvent,
)
from billing.purchases.desk import Desk
from billing.recurring import InvoiceThere, PriceWish, SubscriptionThere
from billing.secrets import Vault
from billing.stale.ask import ask_stripe
from billing.states import EventState, PlanType, PurchaseState
from billing.subscriptions.found import keep_begun
from billing.webhooks.drain import drain
from tests.support.factories import add_purchase, add_student, event_body, load_purchase, open_now
from tests.support.gateway import FakeGateway
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases
from tests.support.records import taken

MONTHLY, STUDENT, FAMILY = 5, 6, 7
"""Versions of the default plans that are subscriptions: 199.00, 119.00 and 299.00 for 30, 15 and 50 hours."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A purchase of a subscription and the subscription at Stripe; the row is there once the purchase is kept."""

    student_id: int
    purchase_id: UUID
    stripe_id: str


class Subscribers:
    """`now` of the gateway is when things happen at Stripe; ours is later, so that no instant is cut off by it."""

    def __init__(self, begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> None:
        self.gateway = FakeGateway(now)
        self.leases = UnrenewedLeases()
        self.hints = KeptHints()
        later = now.replace(year=now.year + 1)
        self.desk = Desk(begin, self.gateway, self.leases, vault, deployment, later)
        self.students = 0

    def price(self, version_id: int) -> str:
        """The version's price at Stripe, and our row of it, made where there is none."""
        with self.desk.begin() as session:
            if known := session.get(StripePrice, version_id):
                return known.stripe_price_id
            version = session.get_one(PricingPlanVersion, version_id)
            self.gateway.ensure_product(f"prod_{version_id}", version.name, f"product:{version_id}")
            wish = PriceWish(f"prod_{version_id}", f"plan:{version_id}", version.price_cents, version.currency)
            made = self.gateway.create_price(wish, f"price:{version_id}")
            row = StripePrice(
                plan_version_id=version_id,
                stripe_product_id=made.product_id,
                stripe_price_id=made.id,
                made_at=self.gateway.now,
            )
            session.add(row)
            return made.id

    def allow_rollover(self, version_id: int, minutes: int) -> None:
        self.run("UPDATE pricing_plan_version SET rollover_minutes = :cap WHERE id = :id", cap=minutes, id=version_id)

    def customer(self) -> tuple[int, str]:
        """A student and his customer at Stripe."""
        self.students += 1
        now, row_id = self.gateway.now, new_id()
        student_id = add_student(self.desk.begin, f"student{self.students}@example.com", at=now)
        there = self.gateway.add_customer(installation_mark(self.desk.deployment.installation, row_id))
        made = StripeCustomer(
            student_id=student_id, id=row_id, stripe_customer_id=there.id, prepared_at=now, made_at=now
        )
        with self.desk.begin() as session:
            session.add(made)
        return student_id, there.id

    def ask_to_begin(self, version_id: int = STUDENT) -> Subscribed:
        """The create has been answered, and the worker that has the answer has not committed it yet."""
        student_id, customer_id = self.customer()
        with self.desk.begin() as session:
            version = session.get_one(PricingPlanVersion, version_id)
        facts: dict[str, Any] = {
            "plan_version_id": version_id,
            "plan_type": PlanType.SUBSCRIPTION,
            "price_cents": version.price_cents,
            "minutes": version.minutes,
            "validity_days": None,
        }
        purchase = add_purchase(self.desk.begin, at=self.gateway.now, student_id=student_id, **facts)
        mark = installation_mark(self.desk.deployment.installation, purchase.id)
        order = {
            "customer": customer_id,
            "items": [{"price": self.price(version_id)}],
            "payment_behavior": "default_incomplete",
            "metadata": {MARK: mark},
        }
        begun = self.gateway.create_subscription(StoredCall(order, str(purchase.id), self.gateway.api_version))
        return Subscribed(student_id, purchase.id, begun.subscription.id)

    def keep(self, one: Subscribed, there: SubscriptionThere | None = None) -> None:
        """The worker commits what the create was answered."""
        (invoice, *_) = self.gateway.invoices_of(one.stripe_id)
        with self.desk.begin() as session:
            kept = keep_begun(session, one.student_id, there or self.there(one))
            purchase = session.get_one(Purchase, one.purchase_id, with_for_update=True)
            purchase.subscription_id, purchase.state = kept, PurchaseState.PENDING
            purchase.payment_intent_id, purchase.client_secret = invoice.payment_intent_id, b"sealed"
            work.close(purchase)

    def begin(self, version_id: int = STUDENT) -> Subscribed:
        """Kept, and not paid."""
        one = self.ask_to_begin(version_id)
        self.keep(one)
        return one

    def subscribe(self, version_id: int = STUDENT) -> Subscribed:
        """Begun and paid, and Stripe was asked."""
        one = self.begin(version_id)
        self.gateway.settle(self.newest(one).id)
        self.hear_of(one)
        return one

    def renew(self, one: Subscribed, *, paid: bool = True) -> InvoiceThere | None:
        """The period ends, and Stripe is asked."""
        invoice = self.gateway.renew(one.stripe_id, paid=paid)
        self.hear_of(one)
        return invoice

    def there(self, one: Subscribed) -> SubscriptionThere:
        return self.gateway.subscriptions[one.stripe_id]

    def newest(self, one: Subscribed) -> InvoiceThere:
        return self.gateway.invoices_of(one.stripe_id)[-1]

    def use(self, one: Subscribed, minutes: int, place: int = 0) -> None:
        """A lesson, from one of the lots."""
        taken(self.desk.begin, self.lots(one)[place].id or 0, minutes, at=self.gateway.now, session=new_id().hex)

    def hear_of(self, one: Subscribed) -> None:
        self.hear("customer.subscription.updated", subscription_body(self.there(one)))
        self.ask()

    def hear(self, kind: str, subject: Mapping[str, Any], **changes: Any) -> str:
        """An event comes and is worked; its outcome."""
        (row_id,) = self.receive([event_body(kind, subject, at=self.gateway.now, **changes)])
        return self.outcome(row_id)

    def receive(self, bodies: Sequence[Mapping[str, Any]]) -> list[int]:
        """Events come, all at once, and are worked."""
        rows = [self._row(body) for body in bodies]
        with self.desk.begin() as session:
            session.add_all(rows)
        self.work_events()
        return [row.id or 0 for row in rows]

    def work_events(self) -> None:
        """All that are due now; those that wait are made due first."""
        self.run("UPDATE webhook_event SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
        now, deployment = self.desk.now, self.desk.deployment
        while drain(self.desk.begin, self.leases, self.hints, deployment=deployment, now=now) or self._has_fresh():
            pass

    def outcome(self, row_id: int) -> str:
        with self.desk.begin() as session:
            found = text("SELECT coalesce(outcome, state) FROM webhook_event WHERE id = :id")
            return str(session.execute(found, {"id": row_id}).scalar_one())

    def ask(self) -> None:
        """Every mark is asked about until none is left that can be answered now."""
        self.run("UPDATE stale_mark SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
        while ids := self._due_marks():
            for mark_id in ids:
                ask_stripe(self.desk, AskStripe(mark_id=mark_id))

    def marks(self) -> list[tuple[str, str, int, UUID | None, bool]]:
        """Subject, object, how often, the purchase, and whether it is still to be asked about."""
        statement = "SELECT subject, object_id, marks, purchase_id, due_at IS NOT NULL FROM stale_mark ORDER BY id"
        with self.desk.begin() as session:
            return [(row[0], row[1], row[2], row[3], row[4]) for row in session.execute(text(statement))]

    def prove(self) -> None:
        assert ledger.violations(self.desk.begin) == []

    def row(self, one: Subscribed) -> Subscription:
        with self.desk.begin() as session:
            ours = select(Subscription).where(Subscription.stripe_subscription_id == one.stripe_id)
            return session.exec(ours).one()

    def first(self, one: Subscribed) -> Purchase:
        return load_purchase(self.desk.begin, one.purchase_id)

    def purchases(self, one: Subscribed) -> list[Purchase]:
        with self.desk.begin() as session:
            theirs = select(Purchase).where(Purchase.student_id == one.student_id)
            return list(session.exec(theirs.order_by(col(Purchase.transaction_id))))

    def lots(self, one: Subscribed) -> list[HourLot]:
        with self.desk.begin() as session:
            theirs = select(HourLot).where(HourLot.student_id == one.student_id)
            return list(session.exec(theirs.order_by(col(HourLot.id))))

    def left(self, one: Subscribed) -> list[int]:
        return [lot.minutes_left for lot in self.lots(one)]

    def steps(self, purchase_id: UUID) -> list[str]:
        with self.desk.begin() as session:
            found = text("SELECT step FROM purchase_transition WHERE purchase_id = :id ORDER BY id")
            return list(session.execute(found, {"id": purchase_id}).scalars())

    def cases(self) -> list[str]:
        with self.desk.begin() as session:
            return list(session.execute(text("SELECT reason FROM staff_case ORDER BY id")).scalars())

    def run(self, statement: str, **values: Any) -> None:
        with self.desk.begin() as session:
            session.execute(text(statement), values)

    def _row(self, body: Mapping[str, Any]) -> WebhookEvent:
        row = WebhookEvent(
            stripe_event_id=body["id"],
            type=body["type"],
            body=orjson.dumps(body),
            request_id="request-of-a-test",
            state=EventState.RECEIVED,
            received_at=self.desk.now,
        )
        open_now(row)
        return row

    def _has_fresh(self) -> bool:
        fresh = text("SELECT EXISTS (SELECT FROM webhook_event WHERE due_at <= clock_timestamp() AND attempts = 0)")
        with self.desk.begin() as session:
            return bool(session.execute(fresh).scalar_one())

    def _due_marks(self) -> list[int]:
        due = text("SELECT id FROM stale_mark WHERE due_at <= clock_timestamp() ORDER BY id")
        with self.desk.begin() as session:
            return list(session.execute(due).scalars())


def subscription_body(there: SubscriptionThere, **changes: Any) -> dict[str, Any]:
    """As an event carries it, in the pinned version; nothing of it but names is read."""
    return {
        "id": there.id,
        "object": "subscription",
        "customer": there.customer_id,
        "status": there.status,
        "metadata": {MARK: there.mark} if there.mark else {},
        **changes,
    }


def invoice_body(invoice: InvoiceThere, there: SubscriptionThere, **changes: Any) -> dict[str, Any]:
    """Of the pinned version: the subscription is in the parent."""
    details = {"subscription": there.id, "metadata": {MARK: there.mark} if there.mark else {}}
    return {
        "id": invoice.id,
        "object": "invoice",
        "customer": there.customer_id,
        "status": invoice.status,
        "parent": {"type": "subscription_details", "subscription_details": details},
        **changes,
    }


def older_invoice_body(invoice: InvoiceThere, there: SubscriptionThere) -> dict[str, Any]:
    """Of a version before 2025-03-31: the subscription is named at the top."""
    body = invoice_body(invoice, there, subscription=there.id, subscription_details={"metadata": {MARK: there.mark}})
    del body["parent"]
    return body


def paid_body(invoice: InvoiceThere) -> dict[str, Any]:
    """The intent of an invoice, which carries no mark of ours."""
    return {
        "id": invoice.payment_intent_id,
        "object": "payment_intent",
        "amount": invoice.due_cents,
        "amount_received": invoice.due_cents,
        "currency": invoice.currency,
        "livemode": False,
        "status": "succeeded",
        "metadata": {},
    }
