"""Payments and refunds at Stripe beside ours: every difference is one finding, until somebody closes it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError, NoConnectionError
from billing.ids import installation_mark, new_id
from billing.messages import PurchaseChanged
from billing.models import Finding, Purchase, ReconciliationRun, StripeCall
from billing.purchases.calls import CREATE_INTENT
from billing.reconciliation import compare as comparing
from billing.reconciliation.compare import TooLongError, compare, compare_ledgers
from billing.reconciliation.events import Wish, read
from billing.reconciliation.runs import Report
from billing.secrets import Vault
from billing.states import CallState, FindingKind, PurchaseState, ReconciliationScope
from tests.support.factories import STANDARD_CENTS, STANDARD_MINUTES, add_student, event_body, intent_body
from tests.support.factories import minutes_left as minutes_of
from tests.support.office import Returns, intent_of

K = FindingKind
P = PurchaseState
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Books(Returns):
    """What was sold an hour ago, at both sides."""

    def __init__(self, begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> None:
        super().__init__(begin, deployment, vault, now)
        with begin() as session:
            session.execute(text("UPDATE installation SET created_at = :at"), {"at": now - 60 * DAY})

    def compare(self, days: float = 2, **more: Any) -> Report:
        return compare(self.desk, self.desk.now - days * DAY, **more)[0]

    def differences(self, days: float = 2) -> list[tuple[FindingKind, str]]:
        """What is found, and kept, now."""
        found = [(one.kind, one.source) for one in self.compare(days).found]
        kept = [(one.kind, one.source) for one in self.findings() if one.seen_at == self.desk.now]
        assert sorted(found) == sorted(kept)
        return found

    def findings(self) -> Sequence[Finding]:
        with self.desk.begin() as session:
            return session.exec(select(Finding).order_by(col(Finding.opened_at), col(Finding.source))).all()

    def finding(self) -> Finding:
        (found,) = self.findings()
        return found

    def close(self, finding: Finding, note: str = "agreed with the bank") -> None:
        given = {"id": finding.id, "at": self.desk.now, "note": note}
        statement = "UPDATE finding SET state = 'closed', closed_at = :at, closed_by = 'boss', note = :note"
        with self.desk.begin() as session:
            session.execute(text(f"{statement} WHERE id = :id"), given)

    def set(self, table: str, change: str, row: object) -> None:
        with self.desk.begin() as session:
            session.execute(text(f"UPDATE {table} SET {change} WHERE id = :id"), {"id": row})  # noqa: S608

    def mark_of(self, purchase: Purchase) -> str:
        return installation_mark(self.desk.deployment.installation, purchase.id)

    def failed(self, *, sends: int = 1, object_id: str | None = None, **facts: Any) -> Purchase:
        """A purchase that failed before it knew its payment, after its create was sent so often."""
        student = add_student(self.desk.begin, f"{new_id().hex}@example.com", at=self.desk.now)
        given = {"student_id": student, "payment_intent_id": None, **facts}
        purchase = self.buy(state=P.FAILED, **given)
        call = StripeCall(
            id=new_id(),
            operation=CREATE_INTENT,
            purchase_id=purchase.id,
            attempt=1,
            idempotency_key=new_id().hex,
            parameters={},
            api_version="any",
            state=CallState.ANSWERED if object_id else CallState.LAPSED,
            sends=sends,
            object_id=object_id,
            prepared_at=self.desk.now,
        )
        with self.desk.begin() as session:
            session.add(call)
        return purchase

    def pay_unknown(self, purchase: Purchase, intent_id: str = "pi_unknown", **facts: Any) -> str:
        """A payment with the mark of this purchase, which does not know it."""
        self.gateway.add_paid(intent_id, purchase.price_cents, self.mark_of(purchase))
        self.gateway.change(intent_id, **facts)
        return intent_id

    def hours_of(self, purchase: Purchase) -> int:
        return minutes_of(self.desk.begin, self.load(purchase).student_id or 0)

    def read_events(self, intent_id: str, purchase: Purchase) -> Report:
        subject = {**intent_body(purchase, self.desk.deployment), "id": intent_id}
        self.gateway.happen(event_body("payment_intent.succeeded", subject, at=self.desk.now))
        return read(self.desk, Wish(self.desk.now - HOUR))[0]


@pytest.fixture
def books(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Books:
    return Books(begin, deployment, vault, now)


def later(books: Books, hours: float = 1) -> None:
    books.pass_time(60 * hours)


def test_sides_that_agree_have_no_findings(books: Books) -> None:
    """Paid, refunded in part, refunded wholly, and not paid at all."""
    books.refunded(books.sold(), 7_000)
    books.refunded(books.sold())
    books.buy(state=P.PENDING, student_id=1)
    books.gateway.add_paid("pi_foreign", 5_000, "")
    books.gateway.add_paid("pi_of_another", 5_000, installation_mark(new_id(), new_id()))
    books.gateway.refund_elsewhere("pi_foreign", 100)
    later(books)
    assert books.differences() == []
    with books.desk.begin() as session:
        run = session.exec(select(ReconciliationRun)).one()
    assert (run.scope, run.seen, run.found) == (ReconciliationScope.LEDGER, 7, 0)


@pytest.mark.parametrize("state", [P.PENDING, P.PROCESSING, P.FAILED, P.CANCELLED, P.EXPIRED])
def test_paid_there_and_not_here(books: Books, state: PurchaseState) -> None:
    """Whatever it is here: the money is there."""
    purchase = books.buy(state=state, student_id=add_student(books.desk.begin, at=books.desk.now))
    books.gateway.add_paid(intent_of(purchase), STANDARD_CENTS, books.mark_of(purchase))
    assert books.differences() == []
    later(books)
    assert books.differences() == [(K.UNPAID_HERE, intent_of(purchase))]
    found = books.finding()
    assert (found.purchase_id, found.ours_cents, found.theirs_cents) == (purchase.id, 0, STANDARD_CENTS)
    assert found.detail == f"paid at Stripe, and {state} here"


@pytest.mark.parametrize("status", ["requires_payment_method", "processing", "canceled"])
def test_paid_here_and_not_there(books: Books, status: str) -> None:
    purchase = books.sold()
    books.gateway.change(intent_of(purchase), status=status, amount_received_cents=0)
    assert books.differences() == []
    later(books)
    assert books.differences() == [(K.UNPAID_THERE, intent_of(purchase))]
    assert (books.finding().ours_cents, books.finding().theirs_cents) == (STANDARD_CENTS, 0)


def test_paid_here_and_not_there_at_all(books: Books) -> None:
    """As after a change of the account, or with a row that somebody wrote by hand."""
    purchase = books.sold()
    books.gateway.intents.clear()
    later(books)
    books.gateway.troubles = [InvalidRequestError(code="resource_missing")]
    assert books.differences() == [(K.UNPAID_THERE, intent_of(purchase))]
    assert books.finding().theirs_cents is None


def test_a_payment_that_was_begun_long_before_it_was_paid_is_asked_for(books: Books) -> None:
    """A bank debit takes days: its intent is older than what is listed."""
    purchase = books.sold()
    books.gateway.change(intent_of(purchase), created_at=books.desk.now - 5 * DAY)
    later(books)
    assert books.differences() == []
    books.gateway.change(intent_of(purchase), amount_received_cents=1)
    assert books.differences() == [(K.AMOUNT, intent_of(purchase))]


@pytest.mark.parametrize("change", [{"amount_received_cents": 13_999}, {"currency": "usd"}])
@pytest.mark.parametrize("state", [P.COMPLETED, P.PENDING])
def test_another_amount_or_currency(books: Books, change: dict[str, Any], state: PurchaseState) -> None:
    """One finding, and it says why nothing was credited where nothing was."""
    purchase = books.sold()
    books.proves = False
    if state is P.PENDING:
        books.set("purchase", "state = 'pending', paid_at = NULL", purchase.id)
    books.gateway.change(intent_of(purchase), **change)
    later(books)
    assert books.differences() == [(K.AMOUNT, intent_of(purchase))]
    assert books.finding().ours_cents == STANDARD_CENTS
    assert f"sold for 14000 eur; {state} here" in books.finding().detail


def test_given_back_there_and_unknown_here(books: Books) -> None:
    """In the dashboard, with no event of it ever heard."""
    made = books.gateway.refund_elsewhere(intent_of(books.sold()), 7_000)
    assert books.differences() == []
    later(books)
    assert books.differences() == [(K.REFUND_MISSING, made.id)]
    assert (books.finding().ours_cents, books.finding().theirs_cents) == (None, 7_000)


def test_a_refund_that_failed_before_we_heard_of_it_never_was(books: Books) -> None:
    books.gateway.refund_elsewhere(intent_of(books.sold()), 7_000, "failed")
    later(books)
    assert books.differences() == []


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ({"amount_cents": 6_999}, ""),
        ({"currency": "usd"}, ""),
        ({"status": "failed"}, ""),
        ({}, "state = 'failed'"),
    ],
)
def test_given_back_otherwise_there(books: Books, there: dict[str, Any], here: str) -> None:
    refund = books.refunded(books.sold(), 7_000)
    later(books)
    assert books.differences() == []
    books.gateway.change_refund(refund.stripe_refund_id or "", **there)
    if here:
        books.set("refund", here, refund.id)
    assert books.differences() == [(K.REFUND_AMOUNT, refund.stripe_refund_id)]


def test_given_back_here_and_not_there(books: Books) -> None:
    refund = books.refunded(books.sold(), 7_000)
    books.gateway.refunds.clear()
    later(books)
    assert books.differences() == [(K.REFUND_AMOUNT, refund.stripe_refund_id)]
    assert (books.finding().ours_cents, books.finding().theirs_cents) == (7_000, 0)


def test_a_refund_that_is_older_there_is_looked_for_with_its_payment(books: Books) -> None:
    """Clocks differ, and a window has an edge."""
    refund = books.refunded(books.sold(), 7_000)
    books.gateway.change_refund(refund.stripe_refund_id or "", created_at=books.desk.now - 3 * DAY)
    later(books)
    assert books.differences() == []


def test_pages_are_turned_to_the_end(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides."""
    monkeypatch.setattr(comparing, "OURS_AT_ONCE", 2)
    books.gateway.page_size = 3
    purchases = [books.sold() for _ in range(7)]
    refunds = [books.gateway.refund_elsewhere(intent_of(purchase), 100).id for purchase in purchases]
    for purchase in purchases:
        books.gateway.change(intent_of(purchase), amount_received_cents=1)
    later(books)
    expected = [*((K.AMOUNT, intent_of(one)) for one in purchases), *((K.REFUND_MISSING, one) for one in refunds)]
    assert sorted(books.differences()) == sorted(expected)


def test_what_is_found_again_is_the_same_finding(books: Books) -> None:
    """Each night sees it again, and it says so; what is not seen any more stays open, and says since when."""
    purchase = books.sold()
    books.gateway.change(intent_of(purchase), amount_received_cents=1)
    later(books)
    books.compare()
    first = books.finding()
    later(books)
    books.gateway.change(intent_of(purchase), amount_received_cents=2)
    books.compare()
    again = books.finding()
    assert (again.id, again.opened_at, again.theirs_cents) == (first.id, first.opened_at, 2)
    assert again.seen_at == first.seen_at + HOUR
    books.gateway.change(intent_of(purchase), amount_received_cents=STANDARD_CENTS)
    later(books)
    assert books.differences() == []
    gone = books.finding()
    assert (gone.state, gone.seen_at) == ("open", again.seen_at)


def test_what_was_closed_and_is_found_again_opens_anew(books: Books) -> None:
    """With what was noted then, or nobody would know that it was looked at once."""
    purchase = books.sold()
    books.gateway.change(intent_of(purchase), amount_received_cents=1)
    later(books)
    books.compare()
    books.close(books.finding())
    later(books)
    books.compare()
    found = books.finding()
    assert (found.state, found.opened_at, found.note) == ("open", books.desk.now, None)
    assert found.detail.endswith("; closed before (2026-03-02, boss): agreed with the bank")
    later(books)
    books.compare()
    assert books.finding().detail == found.detail


def test_every_finding_has_an_owner(books: Books) -> None:
    books.gateway.change(intent_of(books.sold()), amount_received_cents=1)
    later(books)
    books.compare()
    assert books.finding().owner == "finance"


def test_a_dry_comparison_finds_and_keeps_nothing(books: Books) -> None:
    books.gateway.change(intent_of(books.sold()), amount_received_cents=1)
    purchase = books.failed()
    books.pay_unknown(purchase)
    later(books)
    report = books.compare(is_dry=True)
    assert sorted(one.kind for one in report.found) == [K.AMOUNT, K.UNKNOWN_PAYMENT]
    assert (books.findings(), books.cases(), books.load(purchase).state) == ([], [], P.FAILED)
    with books.desk.begin() as session:
        assert session.exec(select(ReconciliationRun)).all() == []


def test_trouble_keeps_what_was_found_until_then(books: Books) -> None:
    """And the run says that it is not whole."""
    books.gateway.change(intent_of(books.sold()), amount_received_cents=1)
    later(books)
    books.gateway.list_troubles = [None, NoConnectionError()]
    with pytest.raises(NoConnectionError):
        books.compare()
    assert books.finding().kind is K.AMOUNT
    with books.desk.begin() as session:
        run = session.exec(select(ReconciliationRun)).one()
    assert (run.found, run.error is None) == (1, False)


def test_two_comparisons_at_once_make_one_finding_each(books: Books) -> None:
    for _ in range(20):
        books.gateway.change(intent_of(books.sold()), amount_received_cents=1)
    later(books)
    with ThreadPoolExecutor(3) as pool:
        assert [len(report.found) for report in pool.map(lambda _: books.compare(), range(3))] == [20] * 3
    assert len(books.findings()) == 20


def test_more_than_a_month_is_refused(books: Books) -> None:
    with pytest.raises(TooLongError):
        books.compare(31)


def test_the_night_looks_at_two_days(books: Books) -> None:
    """So that one night may be missed."""
    purchase = books.sold()
    books.gateway.change(intent_of(purchase), amount_received_cents=1)
    later(books, 47)
    compare_ledgers(books.desk)
    assert books.finding().seen_at == books.desk.now
    later(books, 2)
    compare_ledgers(books.desk)
    assert books.finding().seen_at < books.desk.now


By = pytest.mark.parametrize("way", ["ledger", "events"])


def settle(books: Books, way: str, purchase: Purchase, intent_id: str) -> Report:
    return books.compare() if way == "ledger" else books.read_events(intent_id, purchase)


@By
def test_a_purchase_that_failed_before_it_knew_its_payment_gets_it_back(books: Books, way: str) -> None:
    """Its create was sent and never answered, Stripe made the payment all the same, and the buyer paid it."""
    purchase = books.failed()
    intent_id = books.pay_unknown(purchase)
    report = settle(books, way, purchase, intent_id)
    assert (report.adopted, report.found, books.cases()) == (1, [], [])
    done = books.load(purchase)
    assert (done.state, done.payment_intent_id) == (P.COMPLETED, intent_id)
    assert books.hours_of(purchase) == STANDARD_MINUTES
    assert books.calls()[0][0] == CallState.ANSWERED
    settle(books, way, purchase, intent_id)
    assert books.hours_of(purchase) == STANDARD_MINUTES
    assert ledger.violations(books.desk.begin) == []


def test_whoever_waits_for_an_adopted_purchase_is_told(books: Books) -> None:
    purchase = books.failed()
    books.pay_unknown(purchase)
    assert PurchaseChanged(purchase_id=purchase.id) in compare_ledgers(books.desk)


@By
@pytest.mark.parametrize("facts", [{"amount_received_cents": 13_999}, {"currency": "usd"}, {"livemode": True}], ids=str)
def test_only_what_is_as_it_was_sold_is_adopted(books: Books, way: str, facts: dict[str, Any]) -> None:
    """Credit needs amount, currency and mode of the frozen purchase; else none, and a case."""
    purchase = books.failed()
    intent_id = books.pay_unknown(purchase, **facts)
    report = settle(books, way, purchase, intent_id)
    assert [(one.kind, one.source) for one in report.found] == [(K.UNKNOWN_PAYMENT, intent_id)]
    assert (books.cases(), books.hours_of(purchase)) == (["unknown_payment"], 0)
    assert books.load(purchase).payment_intent_id is None


@pytest.mark.parametrize("call", [{"sends": 0}, {"object_id": "pi_another"}], ids=str)
def test_a_mark_alone_proves_nothing(books: Books, call: dict[str, Any]) -> None:
    """Whoever shares the account can write our mark on a payment of his: only what we asked for is ours."""
    purchase = books.failed(**call)
    intent_id = books.pay_unknown(purchase)
    assert books.differences() == [(K.UNKNOWN_PAYMENT, intent_id)]
    assert (books.cases(), books.hours_of(purchase)) == (["unknown_payment"], 0)


def test_a_payment_from_before_the_call_is_not_its_answer(books: Books) -> None:
    purchase = books.failed()
    books.pay_unknown(purchase, created_at=books.desk.now - timedelta(hours=2))
    assert [kind for kind, _ in books.differences()] == [K.UNKNOWN_PAYMENT]


@By
def test_the_second_payment_of_one_purchase_is_for_people(books: Books, way: str) -> None:
    """The hours are there once; one of the two has to go back."""
    purchase = books.sold()
    intent_id = books.pay_unknown(purchase)
    report = settle(books, way, purchase, intent_id)
    (found,) = report.found
    assert (found.kind, found.source, found.purchase_id) == (K.UNKNOWN_PAYMENT, intent_id, purchase.id)
    assert found.detail == f"paid at Stripe beside {intent_of(purchase)} of the same purchase: refund"
    assert books.cases() == ["unknown_payment"]
    assert books.hours_of(purchase) == STANDARD_MINUTES


def test_of_two_payments_of_one_failed_purchase_one_is_adopted(books: Books) -> None:
    purchase = books.failed()
    books.pay_unknown(purchase, "pi_unknown_1")
    books.pay_unknown(purchase, "pi_unknown_2")
    report = books.compare()
    assert (report.adopted, [one.kind for one in report.found]) == (1, [K.UNKNOWN_PAYMENT])
    assert books.hours_of(purchase) == STANDARD_MINUTES
    assert ledger.violations(books.desk.begin) == []


def test_six_at_once_adopt_once(books: Books) -> None:
    purchase = books.failed()
    books.pay_unknown(purchase)
    with ThreadPoolExecutor(6) as pool:
        adopted = [report.adopted for report in pool.map(lambda _: books.compare(), range(6))]
    assert sum(adopted) == 1
    assert books.hours_of(purchase) == STANDARD_MINUTES


@By
def test_a_payment_for_a_purchase_that_is_not_here(books: Books, way: str) -> None:
    """As after a restored backup: the money came, and there is nobody to whom hours could be given."""
    purchase = books.buy(state=P.QUEUED)
    with books.desk.begin() as session:
        session.execute(text("DELETE FROM purchase"))
    intent_id = books.pay_unknown(purchase)
    report = settle(books, way, purchase, intent_id)
    (found,) = report.found
    assert (found.kind, found.purchase_id, found.theirs_cents) == (K.UNKNOWN_PAYMENT, None, STANDARD_CENTS)
    assert books.cases() == ["unknown_payment"]


@By
def test_what_a_worker_has_in_its_hands_is_left_to_it(books: Books, way: str) -> None:
    """It sends the same key again, or looks, until it knows its payment."""
    purchase = books.buy(student_id=add_student(books.desk.begin, at=books.desk.now))
    intent_id = books.pay_unknown(purchase)
    report = settle(books, way, purchase, intent_id)
    assert (report.adopted, report.found) == (0, [])
    assert books.load(purchase).state is P.QUEUED


def test_an_unpaid_intent_that_nobody_knows_is_nothing(books: Books) -> None:
    books.pay_unknown(books.failed(), status="requires_payment_method", amount_received_cents=0)
    assert books.differences() == []


def test_refunds_of_a_later_change_do_not_count_while_they_are_fresh(books: Books) -> None:
    """What was decided here while Stripe was listed is not a difference."""
    refund = books.refunded(books.sold(), 7_000)
    books.pass_time(11)
    books.set("refund", "decided_at = '2026-03-02T12:05Z'", refund.id)
    books.gateway.change_refund(refund.stripe_refund_id or "", status="failed")
    assert books.differences() == []
    later(books)
    assert books.differences() == [(K.REFUND_AMOUNT, refund.stripe_refund_id)]
