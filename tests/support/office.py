"""A worker for payments, without a broker and with a clock that tests move."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import text

from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import GatewayError, NoConnectionError
from billing.messages import PreparePayment
from billing.models import Purchase
from billing.purchases.desk import Desk
from billing.purchases.payment import prepare_payment
from billing.secrets import Vault
from tests.support.factories import add_purchase, load_purchase
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases


class Office:
    def __init__(self, begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> None:
        self.gateway = FakeGateway(now)
        self.leases = UnrenewedLeases()
        self.desk = Desk(begin, self.gateway, self.leases, vault, deployment, now)

    def buy(self, **facts: object) -> Purchase:
        return add_purchase(self.desk.begin, at=self.desk.now, **facts)  # type: ignore[arg-type]

    def work(self, purchase: Purchase) -> Purchase:
        """One hint for a purchase that is due."""
        with self.desk.begin() as session:
            session.execute(text("UPDATE purchase SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"))
        for message in prepare_payment(self.desk, PreparePayment(purchase_id=purchase.id)):
            if isinstance(message, PreparePayment):
                prepare_payment(self.desk, message)
        return self.load(purchase)

    def load(self, purchase: Purchase) -> Purchase:
        return load_purchase(self.desk.begin, purchase.id)

    def pass_time(self, minutes: float) -> None:
        self.desk = replace(self.desk, now=self.desk.now + timedelta(minutes=minutes))

    def fail_with(self, *errors: GatewayError) -> None:
        self.gateway.troubles.extend(errors)

    def calls(self) -> list[tuple[str, int, int]]:
        """State, attempt and sends of every call that was written down."""
        with self.desk.begin() as session:
            rows = session.execute(text("SELECT state, attempt, sends FROM stripe_call ORDER BY attempt"))
            return [(row.state, row.attempt, row.sends) for row in rows]


def unreachable() -> NoConnectionError:
    return NoConnectionError()
