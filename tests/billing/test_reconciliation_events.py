"""Stripe's events are read from where the last reading ended: nothing is missed, nothing is recorded twice."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlmodel import col, select
from structlog.testing import capture_logs

from billing import ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError, NoConnectionError
from billing.ids import installation_mark, new_id
from billing.messages import EventsWaiting, PurchaseChanged
from billing.models import Finding, Purchase, ReconciliationRun, WebhookEvent
from billing.reconciliation import cursor, events, slices
from billing.reconciliation.events import TooLongAgoError, Wish, read, read_events
from billing.reconciliation.runs import Report
from billing.reconciliation.slices import Slices
from billing.secrets import Vault
from billing.states import FindingKind, Outcome, PurchaseState, ReconciliationScope
from billing.webhooks.drain import drain
from tests.support.factories import STANDARD_CENTS, STANDARD_MINUTES, add_event, add_student, event_body, intent_body
from tests.support.factories import minutes_left as minutes_of
from tests.support.hints import KeptHints
from tests.support.office import Office

PAID = "payment_intent.succeeded"
CANCELLED = "payment_intent.canceled"
SOON = timedelta(minutes=1)
ANOTHER_VERSION = "2019-02-19"


class Dead(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


class Reader(Office):
    """Purchases whose news never comes, and a look at Stripe's list now and then."""

    def __init__(self, begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> None:
        super().__init__(begin, deployment, vault, now)
        self.student = add_student(begin, at=now)
        with begin() as session:
            session.execute(text("UPDATE installation SET created_at = :at"), {"at": now - timedelta(days=60)})
        self.stand_at(now)

    def stand_at(self, at: datetime) -> None:
        """Read up to there."""
        with self.desk.begin() as session:
            session.execute(text("DELETE FROM cursor"))
            cursor.begin_at(session, at)

    def sold(self, *, at: datetime | None = None, **facts: Any) -> Purchase:
        """Paid at Stripe, which told nobody."""
        purchase = self.buy(state=PurchaseState.PENDING, student_id=self.student, **facts)
        mark = installation_mark(self.desk.deployment.installation, purchase.id)
        self.gateway.add_paid(purchase.payment_intent_id or "", purchase.price_cents, mark)
        self.happen(PAID, purchase, at=at)
        return purchase

    def happen(self, kind: str, purchase: Purchase, *, at: datetime | None = None, **more: Any) -> str:
        body = event_body(kind, intent_body(purchase, self.desk.deployment), at=at or self.desk.now, **more)
        return self.gateway.happen(body)

    def happen_elsewhere(self, number: int, *, first: datetime, apart: timedelta) -> list[str]:
        """Events of payments that are none of ours."""
        made = []
        for place in range(number):
            body = event_body(CANCELLED, {"id": f"pi_other_{place}"}, at=first + place * apart)
            made.append(self.gateway.happen(body))
        return made

    def read(self, *, hours: float | None = None, **wish: Any) -> Report:
        since = None if hours is None else self.desk.now - timedelta(hours=hours)
        return read(self.desk, Wish(since, **wish))[0]

    def drain(self) -> None:
        drain(self.desk.begin, self.leases, KeptHints(), deployment=self.desk.deployment, now=self.desk.now)

    def rows(self) -> Sequence[WebhookEvent]:
        with self.desk.begin() as session:
            return session.exec(select(WebhookEvent).order_by(col(WebhookEvent.stripe_event_id))).all()

    def ids(self) -> set[str]:
        return {row.stripe_event_id for row in self.rows()}

    def runs(self) -> Sequence[ReconciliationRun]:
        with self.desk.begin() as session:
            return session.exec(select(ReconciliationRun).order_by(col(ReconciliationRun.id))).all()

    def place(self) -> datetime:
        with self.desk.begin() as session:
            return cursor.place(session) or cursor.beginning(session, now=self.desk.now)

    def findings(self) -> list[tuple[FindingKind, str]]:
        with self.desk.begin() as session:
            found = session.exec(select(Finding).order_by(col(Finding.source)))
            return [(one.kind, one.source) for one in found]

    def minutes(self) -> int:
        return minutes_of(self.desk.begin, self.student)


@pytest.fixture
def reader(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Reader:
    return Reader(begin, deployment, vault, now)


def test_what_no_webhook_brought_is_recorded_and_credited(reader: Reader) -> None:
    """Every webhook may be lost: the hours are there a minute later all the same, and once."""
    purchases = [reader.sold() for _ in range(3)]
    report = reader.read()
    assert (report.seen, report.recorded, report.found) == (3, 3, [])
    reader.drain()
    assert {row.outcome for row in reader.rows()} == {Outcome.APPLIED}
    assert [reader.load(purchase).state for purchase in purchases] == [PurchaseState.COMPLETED] * 3
    assert reader.minutes() == 3 * STANDARD_MINUTES
    assert ledger.violations(reader.desk.begin) == []


def test_a_listed_event_is_kept_whole_and_says_where_it_came_from(reader: Reader) -> None:
    reader.sold()
    report = reader.read()
    (row,), (there,) = reader.rows(), reader.gateway.events
    assert (row.body, row.request_id, row.type) == (there.body, f"reconciliation:{report.run_id}", PAID)


def test_whoever_waits_for_it_is_told(reader: Reader) -> None:
    purchase = reader.sold()
    assert {PurchaseChanged(purchase_id=purchase.id), EventsWaiting()} <= set(read_events(reader.desk))
    assert read_events(reader.desk) == []


def test_a_payment_by_list_is_believed_from_the_payment_and_not_from_the_list(reader: Reader) -> None:
    """A list may show an object in the shape of another API version, in which the amount is somewhere else."""
    purchase = reader.buy(state=PurchaseState.PENDING, student_id=reader.student)
    mark = installation_mark(reader.desk.deployment.installation, purchase.id)
    reader.gateway.add_paid(purchase.payment_intent_id or "", STANDARD_CENTS, mark)
    bare: dict[str, Any] = {"id": purchase.payment_intent_id, "object": "payment_intent", "metadata": {}}
    reader.gateway.happen(event_body(PAID, bare, at=reader.desk.now, api_version=ANOTHER_VERSION))
    reader.read()
    reader.drain()
    assert (reader.minutes(), reader.rows()[0].outcome) == (STANDARD_MINUTES, Outcome.APPLIED)


@pytest.mark.parametrize(
    "changes", [{"status": "processing"}, {"amount_received_cents": 1}, {"currency": "usd"}, {"livemode": True}]
)
def test_what_the_payment_does_not_say_is_not_credited_by_the_reading(reader: Reader, changes: dict[str, Any]) -> None:
    """The handler of the event decides then, as for any other."""
    purchase = reader.sold()
    reader.gateway.change(purchase.payment_intent_id or "", **changes)
    reader.read()
    assert (reader.minutes(), reader.rows()[0].outcome) == (0, None)


def test_a_payment_that_stripe_does_not_give_us_stops_nothing(reader: Reader) -> None:
    """One odd object must not keep the cursor where it is for ever."""
    reader.sold()
    reader.gateway.troubles = [InvalidRequestError()]
    assert reader.read().recorded == 1
    reader.drain()
    assert reader.minutes() == STANDARD_MINUTES


def test_what_came_by_webhook_is_not_recorded_again(reader: Reader) -> None:
    """Ids decide what is new, whatever became of the event."""
    reader.sold()
    add_event(reader.desk.begin, {"id": reader.gateway.events[0].id, "type": PAID}, at=reader.desk.now)
    report = reader.read()
    assert (report.seen, report.recorded, len(reader.rows())) == (1, 0, 1)


def test_reading_again_records_nothing(reader: Reader) -> None:
    for _ in range(5):
        reader.sold()
    assert [reader.read().recorded for _ in range(3)] == [5, 0, 0]
    reader.drain()
    assert reader.minutes() == 5 * STANDARD_MINUTES


def test_three_readings_at_once_record_each_event_once(reader: Reader) -> None:
    """Two schedulers, and somebody with a command."""
    for _ in range(40):
        reader.sold()
    reader.gateway.page_size = 7
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: reader.read(), range(3)))
    assert sum(report.recorded for report in reports) == len(reader.rows()) == 40
    reader.drain()
    assert reader.minutes() == 40 * STANDARD_MINUTES
    assert ledger.violations(reader.desk.begin) == []


def test_an_event_that_is_listed_late_is_found(reader: Reader) -> None:
    """Stripe may list an event after one that is younger than it: the next readings look back ten minutes."""
    reader.sold()
    reader.read()
    reader.pass_time(1)
    late = reader.happen_elsewhere(1, first=reader.desk.now - 9 * SOON, apart=SOON)
    assert reader.read().recorded == 1
    assert set(late) <= reader.ids()


@pytest.mark.parametrize("ahead", [-50, -20, -2, 0, 2, 20, 50])
def test_stripes_clock_may_be_another_one(reader: Reader, ahead: int) -> None:
    """An hour before or after ours at most: every event is found by the reading after it happened."""
    reader.stand_at(reader.desk.now - timedelta(hours=1))
    for _ in range(90):
        reader.pass_time(1)
        reader.happen_elsewhere(1, first=reader.desk.now + timedelta(minutes=ahead), apart=SOON)
        if reader.desk.now.minute % 9 == 0:
            reader.read()
            assert len(reader.ids()) == len(reader.gateway.events)


@pytest.mark.parametrize("silence_minutes", [30, 300, 3000])
def test_a_long_silence_hides_nothing(reader: Reader, silence_minutes: int) -> None:
    """While nothing happens the cursor follows an hour behind, so that Stripe's clock may be late by so much."""
    reader.sold()
    reader.read()
    for _ in range(3):
        reader.pass_time(silence_minutes / 3)
        reader.read()
    reader.happen_elsewhere(1, first=reader.desk.now - min(50, silence_minutes - 1) * SOON, apart=SOON)
    assert reader.read().recorded == 1


def test_events_of_types_that_nobody_handles_are_not_recorded(reader: Reader) -> None:
    reader.gateway.happen(event_body("balance.available", {"id": "any"}, at=reader.desk.now))
    assert (reader.read().seen, reader.rows()) == (0, [])


def test_the_first_reading_begins_with_the_installation(reader: Reader) -> None:
    """Or with what Stripe still has, where that is less."""
    with reader.desk.begin() as session:
        session.execute(text("DELETE FROM cursor"))
    reader.happen_elsewhere(3, first=reader.desk.now - timedelta(days=29), apart=timedelta(days=9))
    assert reader.place() == reader.desk.now - timedelta(days=30, hours=1)
    assert reader.read().recorded == 3
    assert reader.findings() == []


def test_a_reading_that_was_killed_is_gone_on_with(reader: Reader) -> None:
    """Slice by slice it is kept how far it came; the run that was killed has no end."""
    start = reader.desk.now - timedelta(hours=6)
    reader.stand_at(start)
    made = reader.happen_elsewhere(36, first=start, apart=timedelta(minutes=10))
    reader.gateway.list_troubles = [None, None, None, Dead()]
    with pytest.raises(Dead):
        reader.read()
    assert start < reader.place() < reader.desk.now
    assert 0 < len(reader.ids()) < 36
    assert reader.runs()[0].finished_at is None
    before = reader.gateway.listings
    reader.read()
    assert reader.ids() == set(made)
    assert reader.gateway.listings - before < 8


def test_trouble_with_stripe_is_noted_and_keeps_the_cursor_where_it_is(reader: Reader) -> None:
    """The next tick tries again from the same place."""
    reader.sold()
    reader.gateway.list_troubles = [NoConnectionError()]
    place = reader.place()
    with pytest.raises(NoConnectionError):
        reader.read()
    (run,) = reader.runs()
    assert reader.place() == place
    assert run.finished_at is not None
    assert "NoConnectionError" in (run.error or "")
    assert reader.read().recorded == 1


def test_a_page_that_was_not_read_holds_the_cursor(reader: Reader) -> None:
    """Stripe lists the newest first: what was read of a slice whose rest is unknown counts for nothing."""
    start = reader.desk.now - timedelta(minutes=5)
    reader.stand_at(start)
    reader.gateway.page_size = 10
    made = reader.happen_elsewhere(50, first=start, apart=timedelta(seconds=5))
    reader.gateway.list_troubles = [None, None, NoConnectionError()]
    with pytest.raises(NoConnectionError):
        reader.read()
    assert (reader.place(), len(reader.ids())) == (start, 20)
    reader.read()
    assert reader.ids() == set(made)


def test_a_crowd_is_read_in_shorter_slices(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is begun anew with half its length; what was seen of its end does not move the cursor."""
    monkeypatch.setattr(slices, "MOST_PAGES", 3)
    reader.gateway.page_size = 10
    start = reader.desk.now - timedelta(minutes=30)
    reader.stand_at(start)
    made = reader.happen_elsewhere(300, first=start, apart=timedelta(seconds=3))
    places: list[tuple[datetime, int]] = []
    listed = reader.gateway.list_events

    def watched(since: datetime, until: datetime, **more: Any) -> Any:
        places.append((reader.place(), len(reader.ids())))
        return listed(since, until, **more)

    monkeypatch.setattr(reader.gateway, "list_events", watched)
    reader.read()
    assert reader.ids() == set(made)
    for place, _ in places:
        older = {one.id for one in reader.gateway.events if one.created_at < place}
        assert older <= reader.ids()
    assert len({place for place, _ in places}) > 5


def test_a_second_with_more_than_a_slice_may_have_is_read_all_the_same(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "MOST_PAGES", 3)
    reader.gateway.page_size = 5
    made = reader.happen_elsewhere(60, first=reader.desk.now - SOON, apart=timedelta())
    reader.read()
    assert reader.ids() == set(made)


def test_a_reading_without_time_goes_on_the_next_time(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick takes seconds, however much there is; each of them comes further."""
    start = reader.desk.now - timedelta(days=2)
    reader.stand_at(start)
    made = reader.happen_elsewhere(48, first=start, apart=timedelta(hours=1))
    ticks = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    places = [reader.place()]
    for _ in range(20):
        report = reader.read(seconds=8)
        assert report.until <= reader.desk.now
        places.append(reader.place())
        if reader.ids() == set(made):
            break
    assert reader.ids() == set(made)
    assert places == sorted(places)
    assert len(places) > 3


def test_an_earlier_time_can_be_read_again(reader: Reader) -> None:
    """After a restored backup, say; the cursor stays where it is."""
    made = reader.happen_elsewhere(10, first=reader.desk.now - timedelta(hours=30), apart=timedelta(hours=1))
    assert reader.read().recorded == 0
    place = reader.place()
    assert reader.read(hours=48).recorded == 10
    assert (reader.ids(), reader.place()) == (set(made), place)


def test_a_later_time_does_not_move_the_cursor_past_what_was_not_read(reader: Reader) -> None:
    """Somebody reads the last hour while the cursor is a day behind."""
    start = reader.desk.now - timedelta(days=1)
    reader.stand_at(start)
    made = reader.happen_elsewhere(24, first=start, apart=timedelta(hours=1))
    reader.read(hours=2)
    assert reader.place() == start
    reader.read()
    assert reader.ids() == set(made)


def test_what_stripe_does_not_keep_is_refused(reader: Reader) -> None:
    with pytest.raises(TooLongAgoError, match="Stripe keeps events for 30 days"):
        reader.read(hours=31 * 24)
    assert reader.runs() == []


def test_a_cursor_that_grows_old_is_a_finding(reader: Reader) -> None:
    """Before Stripe forgets what was never read: somebody has five days."""
    reader.stand_at(reader.desk.now - timedelta(days=24))
    reader.read()
    assert reader.findings() == []
    reader.stand_at(reader.desk.now - timedelta(days=26))
    with capture_logs() as logs:
        reader.read()
    assert reader.findings() == [(FindingKind.EVENTS_TOO_OLD, "stripe_events")]
    assert "reconciliation_cursor_old" in [line["event"] for line in logs]


def test_a_dry_reading_writes_nothing(reader: Reader) -> None:
    """And says what a reading would."""
    reader.sold()
    reader.gateway.page_size = 1
    reader.happen_elsewhere(4, first=reader.desk.now, apart=timedelta(seconds=1))
    place = reader.place()
    report = reader.read(is_dry=True)
    assert (report.seen, report.recorded) == (5, 5)
    assert (reader.rows(), reader.runs(), reader.place(), reader.minutes()) == ([], [], place, 0)


def test_each_reading_is_a_row(reader: Reader) -> None:
    reader.sold()
    reader.read()
    (run,) = reader.runs()
    assert (run.scope, run.seen, run.recorded, run.found) == (ReconciliationScope.EVENTS, 1, 1, 0)
    assert (run.since, run.until) == (reader.desk.now - events.OVERLAP, reader.desk.now)
    assert (run.error, run.started_at) == (None, reader.desk.now)


@given(
    minutes=st.lists(st.integers(0, 600), max_size=60),
    page_size=st.integers(1, 7),
    most_pages=st.integers(1, 3),
    kills=st.lists(st.integers(1, 30), max_size=3),
)
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_cursor_never_passes_what_was_not_read(
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    minutes: list[int],
    page_size: int,
    most_pages: int,
    kills: list[int],
) -> None:
    """Events anywhere in ten hours, pages and slices of any size, killed at any page, read until the end."""
    monkeypatch.setattr(slices, "MOST_PAGES", most_pages)
    start = reader.desk.now - timedelta(hours=10)
    reader.stand_at(start)
    with reader.desk.begin() as session:
        session.execute(text("DELETE FROM webhook_event"))
    reader.gateway.events, reader.gateway.page_size = [], page_size
    for minute in minutes:
        body = event_body(CANCELLED, {"id": new_id().hex}, at=start + timedelta(minutes=minute))
        reader.gateway.happen(body)
    for kill in [*kills, None]:
        reader.gateway.list_troubles = [] if kill is None else [*[None] * kill, Dead()]
        try:
            reader.read()
        except Dead:
            older = {one.id for one in reader.gateway.events if one.created_at < reader.place()}
            assert older <= reader.ids()
    assert reader.ids() == {one.id for one in reader.gateway.events}


def test_slices_grow_where_little_happened(now: datetime) -> None:
    """A month of silence is a few questions."""
    parts = Slices(now - timedelta(days=30), now)
    number = 0
    last = now - timedelta(days=30)
    while (part := parts.part) is not None:
        assert part[0] == last
        last, number = part[1], number + 1
        parts.was_read(1)
    assert (last, number < 15) == (now, True)


def test_marks_of_another_installation_are_nothing_to_us(reader: Reader) -> None:
    """Several installations may share an account."""
    body = {"id": "pi_other", "object": "payment_intent", "amount_received": 1, "currency": "eur", "livemode": False}
    mark = installation_mark(new_id(), new_id())
    reader.gateway.happen(event_body(PAID, {**body, "metadata": {"billing_purchase": mark}}, at=reader.desk.now))
    assert reader.read().found == []


def test_a_reader_of_another_time_is_no_danger(reader: Reader) -> None:
    """A clock that was set back for a while: what was read stays read, and what comes is found."""
    reader.sold()
    reader.read()
    ahead, reader.desk = reader.desk, replace(reader.desk, now=reader.desk.now - timedelta(days=40))
    reader.happen_elsewhere(1, first=reader.desk.now, apart=SOON)
    assert reader.read().recorded == 1
    assert reader.place() >= ahead.now - timedelta(hours=1)
