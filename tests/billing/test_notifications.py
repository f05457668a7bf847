"""Each fact is noted once ever, whoever notes it and how often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.ledger import Move, Posting
from billing.messages import SendNotification
from billing.notifications import warn
from billing.notifications.warn import note_expired, note_low_balances, warn_of_expiry
from billing.states import EntryKind, Part
from tests.support.factories import add_student
from tests.support.notes import extend, note_low, notes, opt_out, run, topics
from tests.support.records import DAY, credited, taken
from tests.support.statements import counted

HOUR = timedelta(hours=1)


@pytest.fixture
def ana(begin: Begin, now: datetime) -> int:
    return add_student(begin, at=now)


def lots(begin: Begin, student: int, *lefts: timedelta, now: datetime) -> None:
    for number, left in enumerate(lefts):
        credited(begin, student, at=now, expires_at=now + left, source=f"grant:{student}:{number}")


@pytest.mark.parametrize(
    ("left", "topic"),
    [
        (7 * DAY, "expires_in_a_week"),
        (3 * DAY + HOUR, "expires_in_a_week"),
        (3 * DAY, "expires_in_days"),
        (DAY + HOUR, "expires_in_days"),
        (DAY, "expires_tomorrow"),
        (timedelta(milliseconds=1), "expires_tomorrow"),
    ],
)
def test_only_the_tightest_topic_is_noted(begin: Begin, ana: int, now: datetime, left: timedelta, topic: str) -> None:
    """A look that comes late, or a package that is short from the start, brings one mail and not three."""
    lots(begin, ana, left, now=now)
    (message,) = warn_of_expiry(begin, now=now)
    (note,) = notes(begin)
    assert message == SendNotification(notification_id=note.id)
    assert note.topic == topic
    assert note.due_at is not None


@pytest.mark.parametrize("left", [7 * DAY + HOUR, timedelta(), -HOUR, None])
def test_what_does_not_expire_soon_is_not_noted(begin: Begin, ana: int, now: datetime, left: timedelta | None) -> None:
    credited(begin, ana, at=now, expires_at=None if left is None else now + left)
    assert warn_of_expiry(begin, now=now) == []
    assert notes(begin) == []


def test_an_empty_lot_is_not_noted(begin: Begin, ana: int, now: datetime) -> None:
    lots(begin, ana, 2 * DAY, now=now)
    taken(begin, 1, 600, at=now)
    assert warn_of_expiry(begin, now=now) == []


def test_each_fact_is_noted_once_by_ten_looks_at_once(
    begin: Begin, ana: int, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two schedulers, a restarted one and a late message must not write a student twice; nor must a small chunk."""
    monkeypatch.setattr(warn, "CHUNK", 7)
    lots(begin, ana, *(timedelta(hours=6 * number) for number in range(1, 25)), now=now)
    with ThreadPoolExecutor(10) as pool:
        hints = [hint for found in pool.map(lambda _: warn_of_expiry(begin, now=now), range(10)) for hint in found]
    assert len(notes(begin)) == 24
    assert sorted(hints, key=str) == sorted(
        (SendNotification(notification_id=note.id) for note in notes(begin)), key=str
    )
    assert len({note.subject for note in notes(begin)}) == 24


def test_lots_that_end_together_are_all_noted_across_chunks(
    begin: Begin, ana: int, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Midnight ends many lots in one instant: the next chunk goes on within it."""
    monkeypatch.setattr(warn, "CHUNK", 2)
    lots(begin, ana, *[DAY] * 5, now=now)
    assert len(warn_of_expiry(begin, now=now)) == 5


def test_hints_are_few_and_every_note_is_due(
    begin: Begin, ana: int, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not asked for at once is overdue work like any other."""
    monkeypatch.setattr(warn, "MOST_HINTS", 2)
    lots(begin, ana, *[DAY] * 5, now=now)
    assert len(warn_of_expiry(begin, now=now)) == 2
    assert all(note.due_at and note.hint_at for note in notes(begin))


def test_each_step_of_a_lot_is_told_as_time_goes_on(begin: Begin, ana: int, now: datetime) -> None:
    lots(begin, ana, 7 * DAY, now=now)
    for day in range(8):
        warn_of_expiry(begin, now=now + day * DAY)
    assert topics(begin) == ["expires_in_a_week", "expires_in_days", "expires_tomorrow"]
    assert {note.subject for note in notes(begin)} == {"lot:1:until:2026-03-09T12:00:00.000Z"}


def test_an_extension_makes_new_facts(begin: Begin, ana: int, now: datetime) -> None:
    lots(begin, ana, 2 * DAY, now=now)
    warn_of_expiry(begin, now=now)
    extend(begin, 1, now + 3 * DAY)
    warn_of_expiry(begin, now=now)
    warn_of_expiry(begin, now=now)
    assert topics(begin) == ["expires_in_days"] * 2


def test_who_wants_none_is_noted_nothing(begin: Begin, ana: int, now: datetime) -> None:
    lots(begin, ana, DAY, now=now)
    taken(begin, 1, 590, at=now)
    opt_out(begin, ana)
    assert warn_of_expiry(begin, now=now) == []
    assert note_low(begin, ana, now=now) == []
    assert notes(begin) == []


def test_a_lot_that_changed_hands_is_not_noted_again(begin: Begin, ana: int, now: datetime) -> None:
    """The account of a guest is the same person, who has read it."""
    lots(begin, ana, DAY, now=now)
    warn_of_expiry(begin, now=now)
    account = add_student(begin, "ana@example.org", at=now, external_id="ana")
    with begin() as session:
        ledger.transfer_all(session, ana, account, at=now)
    assert warn_of_expiry(begin, now=now) == []


@pytest.mark.parametrize(
    ("left", "expected"),
    [(600, []), (120, []), (119, ["low_balance"]), (1, ["low_balance"]), (0, ["empty_balance"])],
)
def test_a_low_balance_is_noted(begin: Begin, ana: int, now: datetime, left: int, expected: list[str]) -> None:
    credited(begin, ana, at=now, expires_at=None)
    if left < 600:
        taken(begin, 1, 600 - left, at=now)
    note_low(begin, ana, now=now)
    assert topics(begin) == expected


def test_hours_of_an_expired_lot_cannot_be_spent_swept_or_not(begin: Begin, ana: int, now: datetime) -> None:
    lots(begin, ana, timedelta(), now=now)
    credited(begin, ana, at=now, expires_at=now + DAY, minutes=30)
    note_low(begin, ana, now=now)
    assert [(note.topic, note.facts["minutes"]) for note in notes(begin)] == [("low_balance", 30)]


def test_a_debt_counts(begin: Begin, ana: int, now: datetime) -> None:
    credited(begin, ana, at=now, expires_at=None)
    run(begin, "UPDATE student_balance SET minutes_owed = 600")
    note_low(begin, ana, now=now)
    assert topics(begin) == ["empty_balance"]


def test_a_low_balance_is_told_again_after_hours_were_added(begin: Begin, ana: int, now: datetime) -> None:
    """Once since the last credit: neither after each lesson, nor never again."""
    credited(begin, ana, at=now, expires_at=None, minutes=60)
    for number in range(3):
        note_low(begin, ana, now=now)
        taken(begin, 1, 10, at=now, session=str(number))
    assert topics(begin) == ["low_balance"]
    credited(begin, ana, at=now, expires_at=None, minutes=30, source="grant:2")
    note_low(begin, ana, ana, now=now)
    assert topics(begin) == ["low_balance"] * 2
    entries = [note.subject.removeprefix("credit:") for note in notes(begin)]
    with begin() as session:
        found = session.execute(text("SELECT id FROM hour_entry WHERE kind = 'credit' ORDER BY id")).scalars()
        assert entries == [str(entry) for entry in found]


def test_who_never_had_hours_is_told_nothing(begin: Begin, ana: int, now: datetime) -> None:
    with begin() as session:
        ledger.lock_balances(session, [ana])
    assert note_low(begin, ana, now=now) == []


def test_hours_that_came_from_a_guest_count_as_added(begin: Begin, ana: int, now: datetime) -> None:
    credited(begin, ana, at=now, expires_at=None, minutes=60)
    account = add_student(begin, "ana@example.org", at=now, external_id="ana")
    with begin() as session:
        ledger.transfer_all(session, ana, account, at=now)
    note_low(begin, account, now=now)
    assert [(note.topic, note.student_id) for note in notes(begin)] == [("low_balance", account)]


def test_many_students_cost_one_statement(begin: Begin, now: datetime) -> None:
    """It runs with every batch of lessons."""
    students = [add_student(begin, f"s{number}@example.com", at=now) for number in range(20)]
    for student in students:
        credited(begin, student, at=now, expires_at=None, minutes=60, source=f"grant:{student}")
    with begin() as session, counted() as statements:
        assert len(note_low_balances(session, students, now=now)) == 20
        assert note_low_balances(session, [], now=now) == []
    assert len(statements) == 1


def write_off(begin: Begin, student: int, lot: int, minutes: int, *, now: datetime, source: str) -> int:
    """As a sweep does, whose students are to be told; gives its id."""
    with begin() as session:
        ledger.lock_accounts(session, [student])
        sweep = session.execute(
            text("""
                INSERT INTO sweep_run (trigger, cutoff, grace_hours, is_told, state, started_at, finished_at)
                VALUES ('staff', :now, 0, true, 'finished', :now, :now) RETURNING id
            """),
            {"now": now},
        ).scalar_one()
        lost = Posting(student, EntryKind.EXPIRE, source, [Move(lot, -minutes, Part.EXPIRED)], now)
        ledger.post(session, [lost])
        session.execute(text("SET LOCAL session_replication_role = replica"))  # entries are only ever added
        session.execute(
            text("UPDATE hour_entry SET sweep_run_id = :id WHERE source = :of"), {"id": sweep, "of": source}
        )
    return int(sweep)


def test_what_a_sweep_wrote_off_is_noted_once_for_each_time(begin: Begin, ana: int, now: datetime) -> None:
    """A lot can expire twice: after an extension, or when hours came back to it."""
    lots(begin, ana, -DAY, now=now)
    sweeps = [
        write_off(begin, ana, 1, 500, now=now, source="lot:1:expired"),
        write_off(begin, ana, 1, 100, now=now, source="lot:1:expired:2"),
    ]
    for sweep in (*sweeps, *sweeps):
        with begin() as session:
            note_expired(session, sweep, [1, 1, 2], now=now)
    assert [(note.topic, note.subject, note.facts) for note in notes(begin)] == [
        ("expired", "lot:1:expired", {"lot_id": 1, "minutes": 500}),
        ("expired", "lot:1:expired:2", {"lot_id": 1, "minutes": 100}),
    ]


def test_nobody_is_told_of_a_sweep_who_wants_nothing(begin: Begin, ana: int, now: datetime) -> None:
    lots(begin, ana, -DAY, now=now)
    sweep = write_off(begin, ana, 1, 500, now=now, source="lot:1:expired")
    opt_out(begin, ana)
    with begin() as session:
        assert note_expired(session, sweep, [1], now=now) == []


def test_a_note_is_of_the_time_that_it_was_made_at(begin: Begin, ana: int, now: datetime) -> None:
    lots(begin, ana, DAY, now=now)
    warn_of_expiry(begin, now=now)
    assert [note.created_at for note in notes(begin)] == [now.astimezone(UTC)]
