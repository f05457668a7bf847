"""Accounts with cards and subscriptions, and a worker that decides what their owners ask for."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import redis
from sqlmodel import col, select

from billing.db import Begin
from billing.ids import new_id
from billing.messages import ActDecided
from billing.models import AccountAct, HourLot, PaymentMethod, Purchase, Subscription
from billing.secrets import Vault
from billing.states import ActState, LotOrigin, PlanType, PurchaseChannel, PurchaseState, SubscriptionStatus
from tests.support.factories import add_purchase
from tests.web.support import API

CARDS, SUBSCRIPTION, TOPUP = f"{API}payment-methods/", f"{API}subscription/", f"{API}quick-topup/"
MONTH = timedelta(days=30)
MONTHLY, STUDENT = 5, 6
MONTHLY_CENTS, MONTHLY_MINUTES = 19_900, 1800


def act_path(act_id: object) -> str:
    return f"{API}account-acts/{act_id}/"


def add_card(begin: Begin, student_id: int, card_id: str = "pm_1", *, at: datetime, **facts: Any) -> None:
    """A card that is good for three years, and no default."""
    given = {"brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": at.year + 3, "attached_at": at, **facts}
    with begin() as session:
        card = PaymentMethod(id=new_id(), stripe_payment_method_id=card_id, student_id=student_id, **given)
        session.add(card)


def add_subscription(begin: Begin, student_id: int, *, at: datetime, **facts: Any) -> UUID:
    """A month of the plan of 199.00, begun ten days before."""
    subscription_id = new_id()
    given: dict[str, Any] = {
        "stripe_subscription_id": f"sub_{subscription_id.hex}",
        "stripe_customer_id": f"cus_{student_id}",
        "plan_version_id": MONTHLY,
        "status": SubscriptionStatus.ACTIVE,
        "period_start": at - timedelta(days=10),
        "period_end": at + timedelta(days=20),
        "began_at": at - timedelta(days=10),
        **facts,
    }
    with begin() as session:
        session.add(Subscription(id=subscription_id, student_id=student_id, **given))
    return subscription_id


def add_period(begin: Begin, student_id: int, subscription_id: UUID, *, at: datetime, **facts: Any) -> Purchase:
    """A paid month of it, with its hours."""
    given: dict[str, Any] = {
        "channel": PurchaseChannel.CHECKOUT,
        "plan_version_id": MONTHLY,
        "plan_type": PlanType.SUBSCRIPTION,
        "price_cents": MONTHLY_CENTS,
        "minutes": MONTHLY_MINUTES,
        "validity_days": None,
        "subscription_id": subscription_id,
        "stripe_invoice_id": f"in_{new_id().hex}",
        **facts,
    }
    purchase = add_purchase(begin, at=at, state=PurchaseState.COMPLETED, student_id=student_id, **given)
    lot = HourLot(
        student_id=student_id,
        origin=LotOrigin.INVOICE,
        source=f"invoice:{purchase.stripe_invoice_id}:line:il_1",
        purchase_id=purchase.id,
        currency="eur",
        starts_at=at,
        expires_at=at + MONTH,
        minutes_granted=MONTHLY_MINUTES,
        minutes_left=MONTHLY_MINUTES - 90,
        minutes_consumed=90,
    )
    with begin() as session:
        session.add(lot)
    return purchase


@dataclass
class Clerk:
    """Decides acts as a worker does: commit, then tell."""

    begin: Begin
    valkey_url: str
    vault: Vault
    now: datetime

    def newest(self) -> AccountAct:
        return self.all()[-1]

    def all(self) -> list[AccountAct]:
        """In the order in which they were accepted."""
        with self.begin() as session:
            return list(session.exec(select(AccountAct).order_by(col(AccountAct.serial))))

    def do(self, result: dict[str, Any] | None = None, secret: str | None = None) -> None:
        self._decide(ActState.DONE, result=result, client_secret=secret and self.vault.seal(secret))

    def refuse(self, error_type: str, message: str = "It cannot be done.", secret: str | None = None) -> None:
        sealed = secret and self.vault.seal(secret)
        self._decide(ActState.REFUSED, error_type=error_type, error_message=message, client_secret=sealed)

    def _decide(self, state: ActState, **facts: Any) -> None:
        act_id = self.newest().id
        closed = {"state": state, "decided_at": self.now, "due_at": None, "hint_at": None}
        with self.begin() as session:
            act = session.get_one(AccountAct, act_id)
            for name, value in {**closed, **facts}.items():
                setattr(act, name, value)
        with redis.Redis.from_url(self.valkey_url) as client:
            client.publish(ActDecided.channel, str(act_id))
