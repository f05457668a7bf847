"""Rows as the door and the workers would have made them, for tests that begin in the middle."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlmodel import Session, select

from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.ids import installation_mark, new_id
from billing.models import Purchase, Student, WebhookEvent
from billing.models.columns import OpenWork
from billing.states import EventState, PlanType, PurchaseState
from billing.work.claims import database_now

STANDARD_CENTS = 14_000
STANDARD_MINUTES = 600


def add_student(begin: Begin, email: str = "ana@example.com", *, at: datetime, external_id: str | None = None) -> int:
    with begin() as session:
        student = Student(email=email, name="Ana", created_at=at, external_id=external_id)
        session.add(student)
        session.flush()
        assert student.id is not None
        return student.id


def add_purchase(
    begin: Begin,
    *,
    at: datetime,
    state: PurchaseState = PurchaseState.QUEUED,
    student_id: int | None = None,
    email: str = "ana@example.com",
    **facts: Any,
) -> Purchase:
    """A purchase of the standard package; one that is past `queued` has an intent `pi_<id>`."""
    purchase = Purchase(
        id=new_id(),
        scope=f"guest:{email}",
        request_id="request-of-a-test",
        buyer_name="Ana",
        buyer_email=email,
        student_id=student_id,
        plan_version_id=2,
        plan_type=PlanType.PACKAGE,
        price_cents=STANDARD_CENTS,
        currency="eur",
        minutes=STANDARD_MINUTES,
        validity_days=45,
        state=state,
        accepted_at=at,
        give_up_at=at + timedelta(minutes=15),
    )
    if state is PurchaseState.QUEUED:
        open_now(purchase)
    else:
        purchase.payment_intent_id = f"pi_{purchase.id.hex}"
    if state in (PurchaseState.COMPLETED, PurchaseState.REFUNDED):
        purchase.paid_at = at
    for name, value in facts.items():
        setattr(purchase, name, value)
    with begin() as session:
        session.add(purchase)
    return purchase


def open_now(row: OpenWork) -> None:
    row.due_at = row.hint_at = database_now()  # type: ignore[assignment]


def intent_body(
    purchase: Purchase, deployment: Deployment, *, status: str = "succeeded", **changes: Any
) -> dict[str, Any]:
    """A payment intent as an event carries it."""
    return {
        "id": purchase.payment_intent_id,
        "object": "payment_intent",
        "amount": purchase.price_cents,
        "amount_received": purchase.price_cents if status == "succeeded" else 0,
        "currency": purchase.currency,
        "livemode": False,
        "status": status,
        "metadata": {MARK: installation_mark(deployment.installation, purchase.id)},
        **changes,
    }


def event_body(kind: str, subject: Mapping[str, Any], *, at: datetime, **changes: Any) -> dict[str, Any]:
    """An event as Stripe sends it."""
    return {
        "id": f"evt_{new_id().hex}",
        "object": "event",
        "type": kind,
        "created": int(at.timestamp()),
        "livemode": False,
        "api_version": "2026-10-28.endive",
        "data": {"object": dict(subject)},
        **changes,
    }


def add_event(begin: Begin, body: Mapping[str, Any], *, at: datetime) -> int:
    """A received event that is due at once."""
    row = WebhookEvent(
        stripe_event_id=body["id"],
        type=body["type"],
        body=orjson.dumps(body),
        request_id="request-of-a-test",
        state=EventState.RECEIVED,
        received_at=at,
    )
    open_now(row)
    with begin() as session:
        session.add(row)
        session.flush()
        assert row.id is not None
        return row.id


def minutes_left(begin: Begin, student_id: int) -> int:
    with begin() as session:
        statement = text("SELECT coalesce(sum(minutes_left), 0) FROM student_balance WHERE student_id = :id")
        return int(session.execute(statement, {"id": student_id}).scalar_one())


def load_purchase(begin: Begin, purchase_id: UUID) -> Purchase:
    with begin() as session:
        return _one(session, purchase_id)


def _one(session: Session, purchase_id: UUID) -> Purchase:
    return session.exec(select(Purchase).where(Purchase.id == purchase_id)).one()
