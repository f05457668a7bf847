"""Reading Stripe's side from the sandbox, which delivers nothing: the real client and real lists."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from billing import gateway as words
from billing import ledger, stripe_reconciling
from billing.config import Settings
from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.ids import installation_mark
from billing.models import Purchase
from billing.purchases.desk import Desk
from billing.reconciliation import cursor
from billing.reconciliation.compare import compare
from billing.reconciliation.events import TYPES, Wish, read, read_events
from billing.secrets import Vault
from billing.states import FindingKind, PurchaseState
from billing.stripe_gateway import StripeGateway
from billing.webhooks.drain import drain
from tests.sandbox.running import SECRET_KEY, Receiver, Sandbox, receiving, running
from tests.support.environment import make_settings
from tests.support.factories import STANDARD_CENTS, STANDARD_MINUTES, add_purchase, add_student, load_purchase
from tests.support.factories import minutes_left as minutes_of
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), receiver.url) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox, receiver: Receiver) -> Sandbox:
    """A new account, all of whose webhooks are lost."""
    running_sandbox.tell("reset")
    running_sandbox.tell("delivery", {"drop_share": 1})
    receiver.forget()
    return running_sandbox


@pytest.fixture
def with_sandbox(settings: Settings, sandbox: Sandbox) -> Settings:
    return make_settings(
        settings.database_url, settings.redis_url, STRIPE_API_BASE=sandbox.url, STRIPE_SECRET_KEY=SECRET_KEY
    )


class Shop:
    """Purchases whose intents are at the sandbox."""

    def __init__(self, begin: Begin, desk: Desk, sandbox: Sandbox) -> None:
        self.begin, self.desk, self.sandbox = begin, desk, sandbox
        self.student = add_student(begin, at=desk.now)

    def sold(self, method: str = "pm_card_visa", **facts: Any) -> Purchase:
        """Paid there, which nobody was told."""
        purchase = add_purchase(self.begin, at=self.desk.now, student_id=self.student, state=PurchaseState.PENDING)
        mark = installation_mark(self.desk.deployment.installation, purchase.id)
        intent = self.sandbox.new_intent(metadata={MARK: mark}, **facts)
        with self.begin() as session:
            given = {"intent": intent.id, "id": purchase.id}
            session.execute(text("UPDATE purchase SET payment_intent_id = :intent WHERE id = :id"), given)
        self.sandbox.v1.payment_intents.confirm(intent.id, {"payment_method": method})
        return load_purchase(self.begin, purchase.id)

    def drain(self) -> None:
        drain(self.begin, self.desk.leases, KeptHints(), deployment=self.desk.deployment, now=self.desk.now)

    def count(self, table: str) -> int:
        with self.begin() as session:
            return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608

    @property
    def minutes(self) -> int:
        return minutes_of(self.begin, self.student)


@pytest.fixture
def shop(begin: Begin, deployment: Deployment, vault: Vault, with_sandbox: Settings, sandbox: Sandbox) -> Shop:
    now = datetime.now(UTC)
    desk = Desk(begin, StripeGateway(with_sandbox), UnrenewedLeases(), vault, deployment, now)
    with begin() as session:
        session.execute(text("UPDATE installation SET created_at = :at"), {"at": now - HOUR})
    return Shop(begin, desk, sandbox)


def test_every_webhook_is_lost_and_every_payment_is_credited_once(shop: Shop, receiver: Receiver) -> None:
    """One reading a minute later is enough; a second one finds nothing left to do."""
    purchases = [shop.sold() for _ in range(5)]
    read_events(shop.desk)
    shop.drain()
    assert [load_purchase(shop.begin, one.id).state for one in purchases] == [PurchaseState.COMPLETED] * 5
    assert shop.minutes == 5 * STANDARD_MINUTES
    before = shop.count("webhook_event")
    read_events(shop.desk)
    shop.drain()
    assert (shop.count("webhook_event"), shop.minutes) == (before, 5 * STANDARD_MINUTES)
    assert receiver.posts == []
    assert ledger.violations(shop.begin) == []


def test_three_readings_at_once_credit_once(shop: Shop) -> None:
    for _ in range(6):
        shop.sold()
    with ThreadPoolExecutor(3) as pool:
        reports = [report for report, _ in pool.map(lambda _: read(shop.desk, Wish()), range(3))]
    shop.drain()
    assert sum(report.recorded for report in reports) == shop.count("webhook_event")
    assert shop.minutes == 6 * STANDARD_MINUTES
    assert ledger.violations(shop.begin) == []


def test_a_refund_of_which_nobody_heard_is_asked_for(shop: Shop) -> None:
    """Its event goes through the same handler as one that was delivered."""
    purchase = shop.sold()
    shop.sandbox.v1.refunds.create({"payment_intent": purchase.payment_intent_id or ""})
    read_events(shop.desk)
    shop.drain()
    assert shop.count("stale_mark") == 1


@pytest.mark.parametrize("ahead_minutes", [-45, -5, 5, 45])
def test_the_clock_of_the_account_may_be_another_one(shop: Shop, ahead_minutes: int) -> None:
    be_ahead(shop, ahead_minutes)
    for _ in range(3):
        shop.sold()
        read_events(shop.desk)
        shop.drain()
    assert shop.minutes == 3 * STANDARD_MINUTES


@pytest.mark.parametrize("path", ["/v1/events", "/v1/payment_intents/pi_"])
@pytest.mark.parametrize("trouble", [{"status": 500}, {"status": 429}, {"cut": True}], ids=str)
def test_trouble_in_the_middle_costs_nothing(
    shop: Shop, path: str, trouble: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading that failed is followed by one that does not."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)
    for _ in range(4):
        shop.sold()
    shop.sandbox.fault(trouble, path, times=3)
    with pytest.raises(words.GatewayError):
        read_events(shop.desk)
    read_events(shop.desk)
    shop.drain()
    assert shop.minutes == 4 * STANDARD_MINUTES


def test_both_sides_agree_when_all_is_read(shop: Shop) -> None:
    """Unpaid, paid, and foreign ones; and what is changed behind our back is found."""
    kept, other = shop.sold(), shop.sold()
    shop.sandbox.pay("pm_card_visa")
    read_events(shop.desk)
    shop.drain()
    desk = at(shop.desk, shop.desk.now + HOUR)
    assert compare(desk, desk.now - timedelta(days=2))[0].found == []
    refund = shop.sandbox.v1.refunds.create({"payment_intent": kept.payment_intent_id or "", "amount": 100})
    with shop.begin() as session:
        session.execute(text("UPDATE purchase SET price_cents = 13000 WHERE id = :id"), {"id": other.id})
    found = compare(desk, desk.now - timedelta(days=2))[0].found
    assert [(one.kind, one.source) for one in found] == [
        (FindingKind.AMOUNT, other.payment_intent_id),
        (FindingKind.REFUND_MISSING, refund.id),
    ]


def test_a_payment_that_is_of_another_account_is_not_there(shop: Shop) -> None:
    purchase = shop.sold()
    read_events(shop.desk)
    shop.drain()
    shop.sandbox.tell("reset")
    desk = at(shop.desk, shop.desk.now + HOUR)
    (found,) = compare(desk, desk.now - timedelta(days=2))[0].found
    assert (found.kind, found.source) == (FindingKind.UNPAID_THERE, purchase.payment_intent_id)
    assert (found.ours_cents, found.theirs_cents) == (STANDARD_CENTS, None)


def test_an_event_is_listed_with_its_whole_body(shop: Shop) -> None:
    """What is recorded is what is read by the handlers, and what is shown to people."""
    purchase = shop.sold()
    now = shop.desk.now
    page = shop.desk.gateway.list_events(now - HOUR, now + HOUR, types=TYPES)
    paid = next(one for one in page.rows if one.type == "payment_intent.succeeded")
    body = orjson.loads(paid.body)
    assert (body["id"], body["object"], body["type"]) == (paid.id, "event", paid.type)
    assert body["data"]["object"]["id"] == purchase.payment_intent_id
    assert int(paid.created_at.timestamp()) == body["created"]


def test_lists_turn_their_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest first, each once, and none outside the time that was asked for."""
    monkeypatch.setattr(stripe_reconciling, "PAGE", 2)
    purchases = [shop.sold() for _ in range(5)]
    for one in purchases:
        shop.sandbox.v1.refunds.create({"payment_intent": one.payment_intent_id or ""})
    gateway, now = shop.desk.gateway, shop.desk.now
    intents = turned(gateway.list_intents, now)
    assert [one.id for one in intents] == [one.payment_intent_id for one in reversed(purchases)]
    assert all(one.paid_at for one in intents)
    refunds = turned(gateway.list_refunds_made, now)
    assert [one.payment_intent_id for one in refunds] == [one.id for one in intents]
    for rows in (gateway.list_intents, gateway.list_refunds_made):
        assert rows(now - 3 * HOUR, now - HOUR).rows == []


def test_types_beyond_what_stripe_narrows_to_are_listed_and_left_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The more types are handled the more is listed; nothing is asked for that Stripe refuses."""
    shop.sold()
    now = shop.desk.now
    narrowed = shop.desk.gateway.list_events(now - HOUR, now + HOUR, types=["payment_intent.succeeded"])
    assert {one.type for one in narrowed.rows} == {"payment_intent.succeeded"}
    monkeypatch.setattr(stripe_reconciling, "MOST_TYPES", 0)
    wide = shop.desk.gateway.list_events(now - HOUR, now + HOUR, types=TYPES)
    assert "payment_intent.created" in {one.type for one in wide.rows}


def test_the_cursor_stands_at_the_newest_event_by_the_accounts_clock(shop: Shop) -> None:
    be_ahead(shop, -10)
    shop.sold()
    read_events(shop.desk)
    with shop.begin() as session:
        place = cursor.place(session)
    newest = shop.sandbox.v1.events.list({"limit": 1}).data[0]
    assert place == datetime.fromtimestamp(newest.created, UTC)


def be_ahead(shop: Shop, minutes: int) -> None:
    """The account's clock; where that is behind, ours is ahead."""
    shop.sandbox.tell("clock", {"offset_seconds": max(0, minutes) * 60})
    shop.desk = at(shop.desk, shop.desk.now - timedelta(minutes=min(0, minutes)))


def turned(rows: Any, now: datetime) -> list[Any]:
    found: list[Any] = []
    after = None
    while True:
        page = rows(now - HOUR, now + HOUR, after=after)
        found += page.rows
        if not page.has_more:
            return found
        after = found[-1].id


def at(desk: Desk, now: datetime) -> Desk:
    return Desk(desk.begin, desk.gateway, desk.leases, desk.vault, desk.deployment, now)
