"""The database is put back to what it was a while ago; Stripe still knows what has happened since."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from billing import db, ledger
from billing.clock import utc_now
from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.ids import installation_mark, new_id
from billing.models import Purchase
from billing.purchases.desk import Desk
from billing.reconciliation.compare import compare
from billing.reconciliation.events import read_events
from billing.secrets import Vault
from billing.states import FindingKind, PurchaseState
from billing.stripe_gateway import StripeGateway
from billing.webhooks.drain import drain
from tests.sandbox.running import SECRET_KEY, Sandbox, running
from tests.support.database import TEMPLATE, connect
from tests.support.environment import make_settings
from tests.support.factories import STANDARD_MINUTES, add_purchase, add_student, load_purchase, minutes_left
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases
from tests.support.servers import RunningPostgres, RunningValkey

NOWHERE = "http://127.0.0.1:9/"
HOUR = timedelta(hours=1)


class Shop:
    """An installation whose database can be replaced by a copy; all of its webhooks are lost."""

    def __init__(self, database: str, postgres: RunningPostgres, valkey: RunningValkey, sandbox: Sandbox) -> None:
        self.postgres, self.sandbox = postgres, sandbox
        settings = make_settings(
            postgres.url(database), valkey.url(), STRIPE_API_BASE=sandbox.url, STRIPE_SECRET_KEY=SECRET_KEY
        )
        self.engine = connect(settings.database_url, pool_size=2)
        self.begin: Begin = partial(db.begin, self.engine)
        self.vault = Vault(settings.secret_key)
        deployment = Deployment.of(settings, self.begin)
        gateway = StripeGateway(settings)
        self.desk = Desk(self.begin, gateway, UnrenewedLeases(), self.vault, deployment, utc_now())

    def ordered(self, student: int) -> Purchase:
        """A purchase that knows its intent, which nobody has paid yet."""
        purchase = add_purchase(self.begin, at=self.desk.now, student_id=student, state=PurchaseState.PENDING)
        mark = installation_mark(self.desk.deployment.installation, purchase.id)
        intent = self.sandbox.new_intent(metadata={MARK: mark})
        with self.begin() as session:
            keep = text("UPDATE purchase SET payment_intent_id = :intent WHERE id = :id")
            session.execute(keep, {"intent": intent.id, "id": purchase.id})
        return load_purchase(self.begin, purchase.id)

    def pay(self, purchase: Purchase) -> None:
        self.sandbox.v1.payment_intents.confirm(purchase.payment_intent_id or "", {"payment_method": "pm_card_visa"})

    def read_and_work(self) -> None:
        """What beat and a worker do in any minute."""
        read_events(self.desk)
        drain(self.begin, self.desk.leases, KeptHints(), deployment=self.desk.deployment, now=self.desk.now)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running(tmp_path / "sandbox", NOWHERE) as sandbox:
        sandbox.tell("delivery", {"drop_share": 1})
        yield sandbox


Open = Callable[[str], Shop]


@pytest.fixture
def open_shop(postgres: RunningPostgres, valkey: RunningValkey, sandbox: Sandbox) -> Iterator[Open]:
    opened: list[Shop] = []

    def open_on(database: str) -> Shop:
        opened.append(Shop(database, postgres, valkey, sandbox))
        return opened[-1]

    yield open_on
    for shop in opened:
        shop.engine.dispose()


def test_a_restored_backup_gets_its_credits_again_and_once(open_shop: Open, postgres: RunningPostgres) -> None:
    """Paid before it, paid after it, and bought after it: the last has no row any more, so a person hears of it."""
    name = f"restored_{new_id().hex[:8]}"
    postgres.create_database(name, template=TEMPLATE)
    shop = open_shop(name)
    with shop.begin() as session:
        session.execute(text("UPDATE installation SET created_at = :at"), {"at": shop.desk.now - HOUR})
    student = add_student(shop.begin, at=shop.desk.now)
    before, *after = [shop.ordered(student) for _ in range(4)]
    shop.pay(before)
    shop.read_and_work()
    shop.engine.dispose()
    postgres.create_database(f"{name}_backup", template=name)
    for purchase in (*after, forgotten := shop.ordered(student)):
        shop.pay(purchase)
    shop.read_and_work()
    assert minutes_left(shop.begin, student) == 5 * STANDARD_MINUTES
    restored = open_shop(f"{name}_backup")
    assert minutes_left(restored.begin, student) == STANDARD_MINUTES
    for _ in range(2):
        restored.read_and_work()
        assert minutes_left(restored.begin, student) == 4 * STANDARD_MINUTES
    report, _ = compare(restored.desk, shop.desk.now - HOUR)
    assert [(one.kind, one.source) for one in report.found] == [
        (FindingKind.UNKNOWN_PAYMENT, forgotten.payment_intent_id)
    ]
    assert ledger.violations(restored.begin) == []
