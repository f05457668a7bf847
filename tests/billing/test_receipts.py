"""Every payment has one receipt, and the numbers of a year have no gap, whatever breaks and whoever issues them."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from billing import db, work
from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import LeaseLostError, NotFoundError, RefusedError
from billing.ids import new_id
from billing.messages import FollowUp, ReceiptsWaiting
from billing.models import Purchase, Receipt
from billing.purchases import changes
from billing.purchases.completion import Payment, complete, lock_by_intent
from billing.receipts import numbers
from billing.receipts.ask import ask_for_receipts
from billing.receipts.drain import drain
from billing.receipts.facts import Facts, Issuer
from billing.receipts.invoice import set_invoice
from billing.receipts.issue import issue_batch
from billing.receipts.page import print_receipt
from billing.states import PurchaseState
from tests.support.database import connect
from tests.support.factories import add_purchase, add_student
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases
from tests.support.receipts import all_issued, issued, lines_of, make_due, paid
from tests.support.stack import eventually


@pytest.fixture
def student(begin: Begin, now: datetime) -> int:
    return add_student(begin, at=now)


def serials(begin: Begin, year: int = 2026) -> list[int]:
    return [row["serial"] for row in all_issued(begin) if row["year"] == year]


def counted(begin: Begin) -> dict[int, int]:
    with begin() as session:
        return {row.year: row.last for row in session.execute(text("SELECT year, last FROM receipt_counter"))}


def waiting(begin: Begin) -> int:
    with begin() as session:
        return int(session.execute(text("SELECT count(*) FROM receipt WHERE due_at IS NOT NULL")).scalar_one())


def complete_one(begin: Begin, purchase: Purchase, deployment: Deployment, now: datetime) -> list[FollowUp]:
    with begin() as session:
        assert purchase.payment_intent_id is not None
        sold = lock_by_intent(session, [purchase.payment_intent_id])[purchase.payment_intent_id]
        complete(session, [Payment(sold, now, "evt_1")], deployment, now=now)
        return changes.noted(session)


def test_a_credit_asks_for_a_receipt(begin: Begin, student: int, deployment: Deployment, now: datetime) -> None:
    """In the same transaction: no paid purchase is without one, and no unpaid one has one."""
    purchase = add_purchase(begin, at=now, state=PurchaseState.PENDING, student_id=student)
    other = add_purchase(begin, at=now, state=PurchaseState.PENDING, student_id=student)
    told = complete_one(begin, purchase, deployment, now)
    assert ReceiptsWaiting() in told
    with begin() as session:
        rows = session.execute(text("SELECT purchase_id, issued_at, due_at, requested_at FROM receipt")).all()
    assert [(row.purchase_id, row.issued_at, row.requested_at) for row in rows] == [(purchase.id, None, now)]
    assert rows[0].due_at is not None
    assert other.id != purchase.id


def test_a_receipt_is_asked_for_once(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """Asked again it is the same one, issued or not."""
    purchase = paid(begin, student, at=now)
    for _ in range(2):
        with begin() as session:
            ask_for_receipts(session, [purchase.id], now=now)
        assert [row["serial"] for row in issued(begin, settings, at=now)] == [1]


def test_an_issued_receipt_has_its_facts_frozen(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """What was sold, by whom and for how much: nothing that changes later changes it."""
    seller = {"seller_name": "Explicações", "seller_address": "Lisboa", "seller_vat_number": "PT1"}
    purchase = paid(begin, student, at=now, buyer_name="Ana Lúcia")
    (row,) = issued(begin, settings.model_copy(update={**seller, "vat_rate_percent": Decimal("23.00")}), at=now)
    with begin() as session:
        transaction_id = session.get_one(Purchase, purchase.id).transaction_id
    assert row["facts"] == {
        "seller": {"name": "Explicações", "address": "Lisboa", "vat_number": "PT1"},
        "vat_rate_percent": "23.00",
        "vat_cents": 2_618,
        "buyer_name": "Ana Lúcia",
        "buyer_email": "ana@example.com",
        "plan_name": "Standard Package",
        "minutes": 600,
        "price_cents": 14_000,
        "currency": "eur",
        "paid_at": "2026-03-02T12:00:00Z",
        "paid_on": "2026-03-02",
        "issued_on": "2026-03-02",
        "transaction_id": transaction_id,
        "payment_intent_id": purchase.payment_intent_id,
    }
    assert (row["year"], row["serial"], row["issued_at"], row["due_at"]) == (2026, 1, now, None)
    assert "R-2026-000001" in lines_of(row["pdf"])


def test_without_a_rate_nothing_is_said_of_tax(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    paid(begin, student, at=now)
    (row,) = issued(begin, settings, at=now)
    assert (row["facts"]["vat_rate_percent"], row["facts"]["vat_cents"]) == (None, None)


def test_numbers_follow_the_payments(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """Who paid first has the lower number, in whatever order the events came."""
    minutes = [3, 1, 2, 0]
    purchases = [paid(begin, student, at=now - timedelta(minutes=past)) for past in minutes]
    rows = issued(begin, settings, at=now)
    in_order = [purchases[place].id for place in (0, 2, 1, 3)]
    assert [row["purchase_id"] for row in rows] == in_order
    assert [row["serial"] for row in rows] == [1, 2, 3, 4]


def test_more_than_a_batch_asks_to_be_called_again(
    begin: Begin, student: int, settings: Settings, now: datetime
) -> None:
    for _ in range(work.RECEIPT_BATCH + 1):
        paid(begin, student, at=now)
    hints, leases = KeptHints(), UnrenewedLeases()
    assert drain(begin, leases, hints, settings=settings, now=now) == [ReceiptsWaiting()]
    assert drain(begin, leases, hints, settings=settings, now=now) == []
    assert serials(begin) == [*range(1, work.RECEIPT_BATCH + 2)]
    assert hints.taken_kinds == [ReceiptsWaiting] * 2


def test_a_year_begins_at_midnight_of_the_business(begin: Begin, student: int, settings: Settings) -> None:
    """By the zone of the business, and by the day of issue, whenever it was paid."""
    tokyo = settings.model_copy(update={"business_timezone": "Asia/Tokyo"})
    midnight = datetime(2026, 12, 31, 15, tzinfo=UTC)
    for seconds in (-2, -1):
        paid(begin, student, at=midnight - timedelta(hours=1))
        issued(begin, tokyo, at=midnight + timedelta(seconds=seconds))
    for _ in range(2):
        paid(begin, student, at=midnight - timedelta(seconds=1))
        issued(begin, tokyo, at=midnight)
    rows = all_issued(begin)
    assert [(row["year"], row["serial"]) for row in rows] == [(2026, 1), (2026, 2), (2027, 1), (2027, 2)]
    assert [row["facts"]["issued_on"] for row in rows] == ["2026-12-31"] * 2 + ["2027-01-01"] * 2
    assert counted(begin) == {2026: 2, 2027: 2}


def test_dates_never_run_backwards(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """A worker whose clock is behind gives no later number an earlier date."""
    paid(begin, student, at=now)
    issued(begin, settings, at=now + timedelta(days=1))
    paid(begin, student, at=now)
    rows = issued(begin, settings, at=now)
    assert [row["issued_at"] for row in rows] == [now + timedelta(days=1)] * 2


def at_once(count: int, act: Callable[[], object]) -> None:
    """In threads; an error of one is an error here."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_many_workers_leave_no_gap_and_no_double(
    begin: Begin, student: int, settings: Settings, database_url: str, now: datetime
) -> None:
    """Twenty of them, two hundred receipts: 1 to 200, each once, each page with its own number."""
    add_paid(begin, student, 200, now)
    engine = connect(database_url, pool_size=20)
    begin_of_many = partial(db.begin, engine)

    def is_done_after_work() -> bool:
        drain(begin_of_many, UnrenewedLeases(seconds=60), KeptHints(), settings=settings, now=now)
        return waiting(begin_of_many) == 0

    try:
        at_once(20, lambda: eventually(is_done_after_work, 90))
    finally:
        engine.dispose()
    assert serials(begin) == [*range(1, 201)]
    assert counted(begin) == {2026: 200}
    assert len({row["purchase_id"] for row in all_issued(begin)}) == 200
    for row in all_issued(begin)[::20]:
        assert numbers.written(2026, row["serial"]) in lines_of(row["pdf"])


def add_paid(begin: Begin, student: int, count: int, now: datetime) -> None:
    """Copies of one purchase, each of which has asked for its receipt."""
    first = paid(begin, student, at=now)
    copies = [new_id() for _ in range(count - 1)]
    same = """scope, request_id, buyer_name, buyer_email, caller_email_verified, student_id, plan_version_id, plan_type,
        price_cents, currency, minutes, validity_days, state, accepted_at, give_up_at, paid_at"""
    copied = text(f"""
        INSERT INTO purchase (id, payment_intent_id, {same}) SELECT copy.id, 'pi_' || copy.id, {same}
        FROM purchase, unnest(CAST(:ids AS uuid[])) AS copy (id) WHERE purchase.id = :first
    """)  # noqa: S608
    with begin() as session:
        session.execute(copied, {"ids": copies, "first": first.id})
        ask_for_receipts(session, copies, now=now)


DYING = """
import os, signal, sys
from datetime import datetime, UTC
from functools import partial
from billing import db
from billing.receipts import drain, issue
from tests.support.environment import make_settings
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases

module, name, call = (drain, "repeated", 1) if sys.argv[2] == "committed" else (issue, "page_of", int(sys.argv[2]))
function, calls = getattr(module, name), 0

def dying(*arguments, **more):
    global calls
    result = function(*arguments, **more)
    calls += 1
    if calls == call:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(module, name, dying)
url, now = sys.argv[1], datetime(2026, 3, 2, 12, tzinfo=UTC)
settings = make_settings(url, "redis://127.0.0.1:1")
drain.drain(partial(db.begin, db.connect(url, "tests")), UnrenewedLeases(), KeptHints(), settings=settings, now=now)
"""


@pytest.mark.parametrize(("dies_after", "left"), [("1", 0), ("3", 0), ("5", 0), ("committed", 5)])
def test_a_worker_that_is_killed_leaves_no_gap(
    begin: Begin, student: int, settings: Settings, database_url: str, now: datetime, dies_after: str, left: int
) -> None:
    """After a page, after the last page, after the commit: what is not committed was never numbered."""
    for _ in range(5):
        paid(begin, student, at=now)
    killed = subprocess.run([sys.executable, "-c", DYING, database_url, dies_after], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(all_issued(begin)) == left
    make_due(begin)
    issued(begin, settings, at=now)
    assert serials(begin) == [1, 2, 3, 4, 5]
    assert counted(begin) == {2026: 5}


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages for a buyer of this name cannot be printed."""

    def breaking(number: str, facts: Facts, **more: Any) -> bytes:
        if facts.buyer_name == "Breaker":
            raise ZeroDivisionError
        return print_receipt(number, facts, **more)

    monkeypatch.setattr("billing.receipts.issue.print_receipt", breaking)


@pytest.mark.usefixtures("_broken")
def test_one_that_cannot_be_printed_takes_no_number_and_no_neighbour(
    begin: Begin, student: int, settings: Settings, now: datetime
) -> None:
    """It is tried alone, and becomes a dead letter in the end; the numbers of the others have no gap."""
    for name in ("Ana", "Breaker", "Bé"):
        paid(begin, student, at=now, buyer_name=name)
    for _ in range(10):
        issued(begin, settings, at=now)
        make_due(begin)
    assert [row["facts"]["buyer_name"] for row in all_issued(begin)] in (["Ana", "Bé"], ["Bé", "Ana"])
    assert serials(begin) == [1, 2]
    assert counted(begin) == {2026: 2}
    assert waiting(begin) == 0
    with begin() as session:
        dead = session.execute(text("SELECT last_error FROM receipt WHERE gave_up_at IS NOT NULL")).scalars().all()
    assert dead == ["ZeroDivisionError: "]


def test_one_that_kills_its_workers_is_given_up(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """The sixth claim that ends without a word is the last."""
    paid(begin, student, at=now)
    with begin() as session:
        session.execute(text("UPDATE receipt SET attempts = 6"))
    issued(begin, settings, at=now)
    assert (waiting(begin), serials(begin), counted(begin)) == (0, [], {})


def test_while_others_issue_nothing_is_drawn(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """The batch is handed back as if it had not been taken: that wears no receipt out, and it stays together."""
    paid(begin, student, at=now)
    issued(begin, settings, at=now)
    paid(begin, student, at=now)
    with begin() as session:
        numbers.take_turn(session, 2026)
        issued(begin, settings, at=now)
        assert serials(begin) == [1]
    with begin() as session:
        row = session.execute(text("SELECT attempts, deferrals FROM receipt WHERE due_at IS NOT NULL")).one()
    assert (row.attempts, row.deferrals) == (0, 0)
    make_due(begin)
    issued(begin, settings, at=now)
    assert serials(begin) == [1, 2]


def test_a_lost_claim_changes_nothing(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """Two workers with one receipt: the second finds its number there and draws none."""
    paid(begin, student, at=now)
    with begin() as session:
        claim = work.claim_batch(session, Receipt, 10, UnrenewedLeases().terms)
    assert claim is not None
    make_due(begin)
    issued(begin, settings, at=now)
    with pytest.raises(LeaseLostError), begin() as session:
        issue_batch(session, claim, Issuer.of(settings), now=now)
    assert (serials(begin), counted(begin)) == ([1], {2026: 1})


def test_a_refunded_purchase_keeps_its_receipt(begin: Begin, student: int, settings: Settings, now: datetime) -> None:
    """It was paid; what went back is said elsewhere. Also where it is issued after the money went back."""
    purchases = [paid(begin, student, at=now) for _ in range(2)]
    for purchase in purchases:
        with begin() as session:
            changed = "UPDATE purchase SET state = 'refunded', refunded_cents = price_cents WHERE id = :id"
            session.execute(text(changed), {"id": purchase.id})
        issued(begin, settings, at=now)
    assert serials(begin) == [1, 2]


@pytest.fixture
def receipt(begin: Begin, student: int, settings: Settings, now: datetime) -> Any:
    paid(begin, student, at=now)
    (row,) = issued(begin, settings, at=now)
    return row


def test_an_invoice_is_printed_on_the_same_receipt(begin: Begin, receipt: Any) -> None:
    """Same number, same facts, same date: one line more."""
    with begin() as session:
        assert set_invoice(session, receipt["id"], " FT 2026/17 ") is None
    with begin() as session:
        assert set_invoice(session, receipt["id"], "FT 2026/18") == "FT 2026/17"
    (after,) = all_issued(begin)
    assert after["invoice_ref"] == "FT 2026/18"
    assert lines_of(after["pdf"]) == [*lines_of(receipt["pdf"]), "Invoice", "FT 2026/18"]
    unchanged = ("year", "serial", "facts", "issued_at")
    assert [after[name] for name in unchanged] == [receipt[name] for name in unchanged]


def test_an_invoice_keeps_to_the_frozen_facts(begin: Begin, receipt: Any) -> None:
    """A buyer who has another name by now bought under the old one."""
    with begin() as session:
        session.execute(text("UPDATE purchase SET buyer_name = 'Somebody Else'"))
        set_invoice(session, receipt["id"], "FT 1")
    (after,) = all_issued(begin)
    assert "Somebody Else" not in lines_of(after["pdf"])


@pytest.mark.parametrize("ref", ["", "  ", "x" * 101, "FT\n1", "FT\u202e1"])
def test_what_is_no_name_of_an_invoice_is_refused(begin: Begin, receipt: Any, ref: str) -> None:
    with begin() as session, pytest.raises(RefusedError, match=r"^invoice_ref: must"):
        set_invoice(session, receipt["id"], ref)


def test_only_an_issued_receipt_has_an_invoice(begin: Begin, student: int, now: datetime) -> None:
    paid(begin, student, at=now)
    with begin() as session:
        receipt_id = session.execute(text("SELECT id FROM receipt")).scalar_one()
    for wanted in (receipt_id, new_id()):
        with begin() as session, pytest.raises(NotFoundError):
            set_invoice(session, wanted, "FT 1")
