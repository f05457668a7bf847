"""Events are worked in batches, each has one effect, and no event takes its neighbours with it."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text

from billing import ledger, work
from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import new_id
from billing.messages import EventsWaiting, Message, PurchaseChanged, ReceiptsWaiting
from billing.models import Purchase, WebhookEvent
from billing.purchases.news import Context
from billing.states import EventState, Outcome, PurchaseState
from billing.webhooks import handlers
from billing.webhooks.drain import drain
from billing.webhooks.settle import settle_alone
from tests.support.factories import (
    STANDARD_CENTS,
    STANDARD_MINUTES,
    add_event,
    add_purchase,
    add_student,
    event_body,
    intent_body,
    load_purchase,
    minutes_left,
)
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases

PAID = "payment_intent.succeeded"
FAILED = "payment_intent.payment_failed"
CANCELLED = "payment_intent.canceled"
PROCESSING = "payment_intent.processing"

P = PurchaseState


class Desk:
    """A worker without a broker: what it is told, it does at once."""

    def __init__(self, begin: Begin, deployment: Deployment, now: datetime) -> None:
        self.begin, self.deployment, self.now = begin, deployment, now
        self.hints = KeptHints()
        self.leases = UnrenewedLeases()
        self.student_id = add_student(begin, at=now)

    def buy(self, state: PurchaseState = P.PENDING, **facts: Any) -> Purchase:
        return add_purchase(self.begin, at=self.now, state=state, student_id=self.student_id, **facts)

    def hear(self, kind: str, purchase: Purchase, **changes: Any) -> int:
        status = kind.removeprefix("payment_intent.")
        intent = intent_body(purchase, self.deployment, status=status, **changes)
        return add_event(self.begin, event_body(kind, intent, at=self.now), at=self.now)

    def hear_paid(self, purchase: Purchase, **changes: Any) -> int:
        return self.hear(PAID, purchase, **changes)

    def drain(self) -> list[Message]:
        return drain(self.begin, self.leases, self.hints, deployment=self.deployment, now=self.now)

    def drain_together(self) -> None:
        self.drain()

    def drain_alone(self) -> None:
        """Every event through its handler: the plain way, against which the batch is held."""
        while True:
            with self.begin() as session:
                claim = work.claim_batch(session, WebhookEvent, 1, self.leases.terms)
            if claim is None:
                return
            with self.begin() as session:
                settle_alone(session, claim, Context(self.deployment, self.now), self.leases.terms)

    def event(self, event_id: int) -> WebhookEvent:
        with self.begin() as session:
            return session.get_one(WebhookEvent, event_id)

    def outcome(self, event_id: int) -> tuple[EventState, Outcome | None]:
        event = self.event(event_id)
        return event.state, event.outcome

    def state(self, purchase: Purchase) -> PurchaseState:
        return load_purchase(self.begin, purchase.id).state

    def minutes(self) -> int:
        return minutes_left(self.begin, self.student_id)

    def scalar(self, statement: str) -> Any:
        with self.begin() as session:
            return session.execute(text(statement)).scalar_one()


@pytest.fixture
def desk(begin: Begin, deployment: Deployment, now: datetime) -> Desk:
    return Desk(begin, deployment, now)


def test_a_paid_purchase_is_completed_and_credited(desk: Desk) -> None:
    """The mission in one test: paid means hours."""
    purchase = desk.buy(client_secret=b"sealed")
    event = desk.hear_paid(purchase)
    desk.drain()
    assert desk.outcome(event) == (EventState.APPLIED, Outcome.APPLIED)
    done = load_purchase(desk.begin, purchase.id)
    assert (done.state, done.client_secret, done.paid_at) == (P.COMPLETED, None, desk.now)
    assert desk.minutes() == STANDARD_MINUTES
    assert ledger.violations(desk.begin) == []


def test_the_timeline_tells_paid_before_credited(desk: Desk) -> None:
    purchase = desk.buy()
    desk.hear_paid(purchase)
    desk.drain()
    with desk.begin() as session:
        steps = session.execute(text("SELECT step FROM purchase_transition ORDER BY id")).scalars().all()
    assert steps == ["paid", "credited"]


def test_whoever_waits_for_what_a_batch_changed_is_told(desk: Desk) -> None:
    """Paid in the plain way, and declined through a handler; what was late changed nothing."""
    paid, declined, late = desk.buy(), desk.buy(), desk.buy(P.CANCELLED)
    desk.hear_paid(paid)
    desk.hear("payment_intent.payment_failed", declined)
    desk.hear("payment_intent.processing", late)
    desk.drain()
    assert {change.subject for change in desk.hints.notified} == {paid.id, declined.id}
    assert len(desk.hints.notified) == 2


def test_what_an_event_alone_changed_is_told_too(desk: Desk) -> None:
    purchase = desk.buy()
    desk.hear_paid(purchase)
    with desk.begin() as session:
        session.execute(text("UPDATE webhook_event SET attempts = 1"))
    desk.drain()
    assert desk.hints.notified == [PurchaseChanged(purchase_id=purchase.id)]


def test_three_events_of_one_payment_credit_once(desk: Desk) -> None:
    """Stripe repeats an event for days when it doubts us, and sends others of the same payment; hours arrive once."""
    purchase = desk.buy()
    events = [desk.hear_paid(purchase) for _ in range(3)]
    desk.drain()
    assert [desk.outcome(event)[1] for event in events] == [Outcome.APPLIED, Outcome.LATE, Outcome.LATE]
    assert desk.minutes() == STANDARD_MINUTES


def test_two_workers_with_two_events_of_one_payment_credit_once(desk: Desk) -> None:
    purchase = desk.buy()
    for _ in range(2):
        desk.hear_paid(purchase)
    run_at_once([desk.drain_alone, desk.drain_alone])
    assert desk.minutes() == STANDARD_MINUTES
    assert ledger.violations(desk.begin) == []


def test_fifty_payments_of_one_student_at_once_give_the_exact_sum(desk: Desk) -> None:
    """No update of a balance is lost, however many workers credit one student."""
    for _ in range(50):
        desk.hear_paid(desk.buy())
    run_at_once([desk.drain_alone] * 4 + [desk.drain_together] * 2)
    assert desk.minutes() == 50 * STANDARD_MINUTES
    assert ledger.violations(desk.begin) == []


@pytest.mark.parametrize(
    ("kind", "before", "after", "outcome"),
    [
        (PROCESSING, P.PENDING, P.PROCESSING, Outcome.APPLIED),
        (PROCESSING, P.PROCESSING, P.PROCESSING, Outcome.LATE),
        (PROCESSING, P.FAILED, P.FAILED, Outcome.LATE),
        (PROCESSING, P.COMPLETED, P.COMPLETED, Outcome.LATE),
        (PROCESSING, P.CANCELLED, P.CANCELLED, Outcome.LATE),
        (FAILED, P.PENDING, P.FAILED, Outcome.APPLIED),
        (FAILED, P.PROCESSING, P.FAILED, Outcome.APPLIED),
        (FAILED, P.FAILED, P.FAILED, Outcome.LATE),
        (FAILED, P.COMPLETED, P.COMPLETED, Outcome.LATE),
        (FAILED, P.CANCELLED, P.CANCELLED, Outcome.LATE),
        (FAILED, P.REFUNDED, P.REFUNDED, Outcome.LATE),
        (CANCELLED, P.PENDING, P.CANCELLED, Outcome.APPLIED),
        (CANCELLED, P.PROCESSING, P.CANCELLED, Outcome.APPLIED),
        (CANCELLED, P.FAILED, P.CANCELLED, Outcome.APPLIED),
        (CANCELLED, P.COMPLETED, P.COMPLETED, Outcome.LATE),
        (CANCELLED, P.CANCELLED, P.CANCELLED, Outcome.LATE),
        (PAID, P.PENDING, P.COMPLETED, Outcome.APPLIED),
        (PAID, P.PROCESSING, P.COMPLETED, Outcome.APPLIED),
        (PAID, P.FAILED, P.COMPLETED, Outcome.APPLIED),
        (PAID, P.CANCELLED, P.COMPLETED, Outcome.APPLIED),
        (PAID, P.EXPIRED, P.COMPLETED, Outcome.APPLIED),
        (PAID, P.COMPLETED, P.COMPLETED, Outcome.LATE),
        (PAID, P.REFUNDED, P.REFUNDED, Outcome.LATE),
    ],
)
def test_news_moves_a_purchase_forward_only(
    desk: Desk, kind: str, before: PurchaseState, after: PurchaseState, outcome: Outcome
) -> None:
    """Late news is an outcome, not an error, and never undoes a later state."""
    purchase = desk.buy(before)
    event = desk.hear(kind, purchase)
    desk.drain()
    assert (desk.state(purchase), desk.outcome(event)[1]) == (after, outcome)


def test_money_that_comes_after_a_cancel_is_credited_and_looked_at(desk: Desk) -> None:
    """Stripe said "canceled" and then that it was paid: the buyer gets the hours, a person gets a case."""
    purchase = desk.buy(P.CANCELLED)
    desk.hear_paid(purchase)
    desk.drain()
    assert desk.minutes() == STANDARD_MINUTES
    assert desk.scalar("SELECT reason FROM staff_case") == "paid_after_end"


def test_a_decline_shows_why_and_keeps_the_secret(desk: Desk) -> None:
    """The buyer may try another card on the same intent."""
    purchase = desk.buy(client_secret=b"sealed")
    error = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
    desk.hear(FAILED, purchase, last_payment_error=error)
    desk.drain()
    failed = load_purchase(desk.begin, purchase.id)
    shown = (failed.state, failed.error_type, failed.error_message, failed.client_secret)
    assert shown == (P.FAILED, "card_error", "Your card was declined.", b"sealed")


@pytest.mark.parametrize(
    "change",
    [
        {"amount_received": STANDARD_CENTS - 1},
        {"amount_received": STANDARD_CENTS + 1},
        {"amount_received": None},
        {"amount_received": True},
        {"currency": "usd"},
        {"currency": None},
        {"livemode": True},
    ],
    ids=str,
)
def test_a_payment_that_is_not_what_was_sold_credits_nothing(desk: Desk, change: dict[str, Any]) -> None:
    """Amount, currency and mode must be those of the frozen purchase; else a person decides."""
    purchase = desk.buy()
    event = desk.hear_paid(purchase, **change)
    desk.drain()
    assert desk.outcome(event) == (EventState.IGNORED, Outcome.DIFFERENCE)
    assert (desk.state(purchase), desk.minutes()) == (P.PENDING, 0)
    assert desk.scalar("SELECT count(*) FROM staff_case WHERE reason = 'payment_differs'") == 1


def test_an_event_of_the_wrong_mode_has_no_effect(desk: Desk) -> None:
    purchase = desk.buy()
    intent = intent_body(purchase, desk.deployment)
    event = add_event(desk.begin, event_body(PAID, intent, at=desk.now, livemode=True), at=desk.now)
    desk.drain()
    assert desk.outcome(event) == (EventState.IGNORED, Outcome.WRONG_MODE)
    assert desk.minutes() == 0


def test_an_intent_without_our_mark_is_foreign(desk: Desk) -> None:
    """Other systems share the account: their payments are none of ours, and no error."""
    purchase = desk.buy()
    event = desk.hear_paid(purchase, id="pi_of_others", metadata={})
    desk.drain()
    assert desk.outcome(event) == (EventState.IGNORED, Outcome.FOREIGN)


def test_an_intent_of_another_installation_is_foreign(desk: Desk) -> None:
    """A staging copy on the same account must not wait for purchases of production."""
    purchase = desk.buy()
    event = desk.hear_paid(purchase, id="pi_of_others", metadata={"billing_purchase": f"{new_id()}:{purchase.id}"})
    desk.drain()
    assert desk.outcome(event)[1] is Outcome.FOREIGN


def test_somebody_elses_intent_with_our_mark_credits_nothing(desk: Desk) -> None:
    """Credit needs the intent that we stored, not one that says it is ours."""
    purchase = desk.buy()
    event = desk.hear_paid(purchase, id="pi_forged")
    desk.drain()
    assert desk.outcome(event)[1] is Outcome.DIFFERENCE
    assert desk.minutes() == 0


def test_news_that_overtakes_our_own_row_waits_for_it(desk: Desk) -> None:
    """The event may come before the worker that made the intent has committed its id."""
    purchase = desk.buy(P.QUEUED)
    purchase.payment_intent_id = "pi_early"
    event = desk.hear_paid(purchase)
    desk.drain()
    assert desk.outcome(event) == (EventState.RECEIVED, Outcome.WAIT)
    with desk.begin() as session:
        session.execute(
            text("UPDATE purchase SET state = 'pending', payment_intent_id = 'pi_early', due_at = NULL, hint_at = NULL")
        )
    make_due(desk)
    desk.drain()
    assert desk.outcome(event) == (EventState.APPLIED, Outcome.APPLIED)
    assert desk.minutes() == STANDARD_MINUTES


def test_news_that_never_finds_its_purchase_is_parked_for_people(desk: Desk) -> None:
    purchase = desk.buy(P.QUEUED)
    purchase.id = new_id()
    event = desk.hear_paid(purchase, id="pi_orphan")
    for _ in range(6):
        make_due(desk)
        desk.drain()
    assert desk.outcome(event) == (EventState.PARKED, Outcome.WAIT)
    assert desk.scalar("SELECT kind FROM dead_letter") == "webhook_event"


@pytest.mark.parametrize(
    "body",
    [
        {"type": "price.created"},
        {"type": PAID, "data": {}},
        {"type": PAID, "data": {"object": []}},
        {"type": PAID, "data": {"object": {"object": "payment_intent"}}},
        {"type": PAID, "account": "acct_connected"},
        {"type": PAID, "object": "v2.core.event"},
        {"type": "customer.created"},
    ],
    ids=str,
)
def test_an_event_that_changes_nothing_here_is_kept_as_ignored(desk: Desk, body: dict[str, Any]) -> None:
    event = event_body("x", {"id": "obj_1"}, at=desk.now, **body)
    row = add_event(desk.begin, event, at=desk.now)
    desk.drain()
    assert desk.outcome(row) == (EventState.IGNORED, Outcome.UNHANDLED)


@pytest.mark.parametrize(
    ("created", "paid"), [(-3600, 0), (0, 0), (60, 60), (7200, 3600)], ids=["before", "at", "between", "after"]
)
def test_hours_begin_at_payment_but_never_before_the_purchase_or_after_now(desk: Desk, created: int, paid: int) -> None:
    """Clocks differ; a validity must not begin before anything was bought, nor in the future."""
    purchase = desk.buy(accepted_at=desk.now - timedelta(seconds=3600))
    intent = intent_body(purchase, desk.deployment)
    when = purchase.accepted_at + timedelta(seconds=created)
    add_event(desk.begin, event_body(PAID, intent, at=when), at=desk.now)
    desk.drain()
    expected = purchase.accepted_at + timedelta(seconds=paid)
    assert load_purchase(desk.begin, purchase.id).paid_at == expected
    assert desk.scalar("SELECT starts_at FROM hour_lot").astimezone(expected.tzinfo) == expected


def test_one_event_that_breaks_takes_no_neighbour_with_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poison event is tried, put off and at last a dead letter; the others proceed at once."""
    break_handler(monkeypatch, FAILED)
    poison = desk.hear(FAILED, desk.buy())
    good = desk.hear_paid(desk.buy())
    desk.drain()
    assert desk.outcome(good)[0] is EventState.APPLIED
    assert desk.event(poison).deferrals == 1
    for _ in range(6):
        make_due(desk)
        desk.drain()
    dead = desk.event(poison)
    assert dead.state is EventState.DEAD
    assert dead.last_error is not None
    assert "ZeroDivisionError" in dead.last_error


def test_a_batch_that_breaks_as_a_whole_is_worked_one_by_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set-based path may have a defect; its events still reach their handlers, in the same run."""

    def broken(*arguments: object, **more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("billing.webhooks.settle.plain_payments", broken)
    events = [desk.hear_paid(desk.buy()) for _ in range(3)]
    desk.drain()
    assert [desk.outcome(event)[0] for event in events] == [EventState.APPLIED] * 3
    assert desk.minutes() == 3 * STANDARD_MINUTES


def test_an_event_that_kills_its_workers_becomes_a_dead_letter(desk: Desk) -> None:
    """Claims that end without a word are counted before any work, so a killer is found out."""
    desk.leases = UnrenewedLeases(seconds=0.001, lost_claims=3)
    killer = desk.hear_paid(desk.buy())
    with desk.begin() as session:
        assert work.claim_batch(session, WebhookEvent, 1, desk.leases.terms)
    for _ in range(2):
        with desk.begin() as session:
            assert work.claim_tried(session, WebhookEvent, desk.leases.terms)
    desk.drain()
    assert desk.outcome(killer)[0] is EventState.DEAD
    assert desk.minutes() == 0


def test_a_full_batch_calls_for_others_before_it_works(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog is worked by all workers, not by the one that was hinted."""
    monkeypatch.setattr("billing.work.EVENT_BATCH", 2)
    for _ in range(3):
        desk.hear_paid(desk.buy())
    desk.drain()
    assert desk.hints.sent == [EventsWaiting(), ReceiptsWaiting()]
    assert desk.hints.taken_kinds == [EventsWaiting]
    desk.drain()
    assert desk.minutes() == 3 * STANDARD_MINUTES


news = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([PAID, PAID, FAILED, CANCELLED, PROCESSING]),
        st.sampled_from([{}, {}, {}, {"amount_received": 1}, {"currency": "usd"}, {"id": "pi_else"}]),
    ),
    max_size=8,
)


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(news=news)
def test_a_batch_does_what_the_handlers_do_one_by_one(desk: Desk, news: list[tuple[int, str, dict[str, Any]]]) -> None:
    """The set-based path is an optimisation: outcomes, states and hours are those of the plain way."""
    results = []
    for drain_all in (desk.drain_together, desk.drain_alone):
        desk.student_id = add_student(desk.begin, f"{new_id().hex}@example.com", at=desk.now)
        purchases = [desk.buy() for _ in range(4)]
        events = [desk.hear(kind, purchases[which], **change) for which, kind, change in news]
        drain_all()
        endings = [desk.outcome(event) for event in events]
        results.append((endings, [desk.state(purchase) for purchase in purchases], desk.minutes()))
    assert results[0] == results[1]
    assert ledger.violations(desk.begin) == []


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_the_same_news_ends_in_the_same_state(desk: Desk, seed: int) -> None:
    """Stripe promises no order; a decline, a second try and a payment end paid however they arrive."""
    import itertools  # noqa: PLC0415

    order = list(itertools.permutations([PROCESSING, FAILED, PAID]))[seed]
    purchase = desk.buy()
    for kind in order:
        desk.hear(kind, purchase)
        desk.drain()
    assert (desk.state(purchase), desk.minutes()) == (P.COMPLETED, STANDARD_MINUTES)


def make_due(desk: Desk) -> None:
    with desk.begin() as session:
        session.execute(text("UPDATE webhook_event SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"))


def break_handler(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def broken(*arguments: object) -> Outcome:
        raise ZeroDivisionError

    monkeypatch.setattr(handlers, "HANDLERS", {**handlers.HANDLERS, kind: broken})


def run_at_once(runs: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
