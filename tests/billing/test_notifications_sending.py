"""A mail says what is true when it leaves, to whom it concerns, and leaves once."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from billing import ledger, retry
from billing.db import Begin
from billing.expiry.sweep import start_sweep, sweep_lots
from billing.messages import SendNotification
from billing.models import Notification
from billing.notifications.mail import MailRefusedError, PostUnavailableError
from billing.notifications.send import MOST_SENDS, send_notification
from billing.notifications.warn import warn_of_expiry
from billing.states import NotificationState, SweepTrigger
from tests.support.factories import add_student
from tests.support.leases import UnrenewedLeases
from tests.support.notes import (
    ZONE,
    KeptPost,
    extend,
    note_low,
    notes,
    opt_out,
    run,
    send_all,
    send_one,
    states,
)
from tests.support.records import DAY, bought, credited, taken

SENT, SKIPPED, WAITING = NotificationState.SENT, NotificationState.SKIPPED, NotificationState.WAITING
LOSE_CLAIM = "UPDATE notification SET lease_until = clock_timestamp() - interval '1 second'"


@pytest.fixture
def ana(begin: Begin, now: datetime) -> int:
    return add_student(begin, at=now)


@pytest.fixture
def post() -> KeptPost:
    return KeptPost()


@pytest.fixture
def midnight() -> datetime:
    """The end of 4 March, in Lisbon; two and a half days after NOON."""
    return datetime(2026, 3, 5, tzinfo=UTC)


@pytest.fixture
def warned(begin: Begin, ana: int, now: datetime, midnight: datetime) -> int:
    """Ana's standard package of ten hours, whose end is noted."""
    bought(begin, ana, at=now, expires_at=midnight)
    warn_of_expiry(begin, now=now)
    return ana


@pytest.mark.usefixtures("warned")
def test_a_mail_leaves_once(begin: Begin, post: KeptPost, now: datetime) -> None:
    for _ in range(2):
        send_all(begin, post, now=now)
    assert post.subjects == ["10.00 hours can be used until 4 March 2026 (in 2 days)"]
    (note,) = notes(begin)
    assert (note.state, note.decided_at, note.due_at, note.lease_token) == (SENT, now, None, None)
    assert post.mails[0].recipient == "ana@example.com"


@pytest.mark.usefixtures("warned")
def test_ten_hints_send_one_mail(begin: Begin, post: KeptPost, now: datetime) -> None:
    (note,) = notes(begin)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: send_one(begin, post, note.id, now=now), range(10)))
    assert len(post.mails) == 1


@pytest.mark.usefixtures("warned")
@pytest.mark.parametrize(("late", "words"), [(1, "tomorrow"), (2, "today")])
def test_a_late_mail_tells_the_days_that_are_really_left(
    begin: Begin, post: KeptPost, now: datetime, late: int, words: str
) -> None:
    """A mail that waited for its server must not promise days that are gone."""
    send_all(begin, post, now=now + late * DAY)
    assert post.subjects == [f"10.00 hours can be used until 4 March 2026 ({words})"]


@pytest.mark.usefixtures("warned")
def test_what_was_used_meanwhile_is_not_told_as_left(begin: Begin, post: KeptPost, now: datetime) -> None:
    taken(begin, 1, 450, at=now)
    send_all(begin, post, now=now)
    assert post.subjects[0].startswith("2.50 hours can be used")


@pytest.mark.parametrize("change", ["extended", "without an end", "emptied", "expired", "unwanted"])
def test_what_is_not_true_or_wanted_any_more_is_skipped(
    begin: Begin, warned: int, post: KeptPost, now: datetime, change: str
) -> None:
    if change == "extended":
        extend(begin, 1, now + 6 * DAY)
    elif change == "without an end":
        extend(begin, 1, None)
    elif change == "emptied":
        taken(begin, 1, 600, at=now)
    elif change == "unwanted":
        opt_out(begin, warned)
    send_all(begin, post, now=now + (3 * DAY if change == "expired" else 0 * DAY))
    assert post.mails == []
    assert states(begin) == [SKIPPED]


def test_a_looser_warning_is_skipped_where_a_tighter_one_is_noted(
    begin: Begin, ana: int, post: KeptPost, now: datetime
) -> None:
    """After days without a mail server a student gets one mail of a lot, not all that were missed."""
    credited(begin, ana, at=now, expires_at=now + 7 * DAY)
    for day in (0, 5, 6):
        warn_of_expiry(begin, now=now + day * DAY)
    send_all(begin, post, now=now + 6 * DAY)
    assert states(begin) == [SKIPPED, SKIPPED, SENT]
    assert len(post.mails) == 1


@pytest.mark.parametrize(("added", "expected"), [(600, []), (30, ["1.50 hours are left"])])
def test_a_recharged_balance_is_not_told_as_it_was(
    begin: Begin, ana: int, post: KeptPost, now: datetime, added: int, expected: list[str]
) -> None:
    """Where it is still low there is a new fact, and one mail of it."""
    credited(begin, ana, at=now, expires_at=None, minutes=60)
    note_low(begin, ana, now=now)
    credited(begin, ana, at=now, expires_at=None, minutes=added, source="grant:2")
    note_low(begin, ana, now=now)
    send_all(begin, post, now=now)
    assert states(begin)[0] is SKIPPED
    assert post.subjects == expected


def test_a_balance_is_told_low_then_empty_and_again_after_a_recharge(
    begin: Begin, ana: int, post: KeptPost, now: datetime
) -> None:
    credited(begin, ana, at=now, expires_at=None, minutes=90)
    for number in range(2):
        lot = number + 1
        note_low(begin, ana, now=now)
        send_all(begin, post, now=now)
        taken(begin, lot, 90, at=now)
        note_low(begin, ana, now=now)
        send_all(begin, post, now=now)
        credited(begin, ana, at=now, expires_at=None, minutes=90, source=f"grant:again:{number}")
    assert post.subjects == ["1.50 hours are left", "No hours are left"] * 2


def test_a_low_balance_that_is_empty_by_now_is_told_as_empty_only(
    begin: Begin, ana: int, post: KeptPost, now: datetime
) -> None:
    credited(begin, ana, at=now, expires_at=None, minutes=90)
    note_low(begin, ana, now=now)
    taken(begin, 1, 90, at=now)
    note_low(begin, ana, now=now)
    send_all(begin, post, now=now)
    assert post.subjects == ["No hours are left"]


def note_lost(begin: Begin, student: int, *, minutes: int, now: datetime) -> None:
    """As a sweep whose students are told leaves it."""
    run(begin, "UPDATE hour_lot SET minutes_left = minutes_left - :lost, minutes_expired = :lost", lost=minutes)
    run(
        begin,
        """
        INSERT INTO notification (id, topic, subject, student_id, facts, state, created_at, due_at, hint_at)
        VALUES (gen_random_uuid(), 'expired', 'lot\\:1\\:expired', :student, CAST(:facts AS jsonb), 'waiting', :now,
            clock_timestamp(), clock_timestamp())
        """,
        student=student,
        facts=json.dumps({"lot_id": 1, "minutes": minutes}),
        now=now,
    )


def test_what_expired_is_told(begin: Begin, ana: int, post: KeptPost, now: datetime) -> None:
    bought(begin, ana, at=now, expires_at=now - DAY)
    note_lost(begin, ana, minutes=450, now=now)
    send_all(begin, post, now=now)
    assert post.subjects == ["7.50 hours have expired"]


@pytest.mark.parametrize(("is_told", "lost"), [(True, ["10.00 hours have expired"]), (False, [])])
def test_a_sweep_that_is_told_ends_in_mail(
    begin: Begin, ana: int, post: KeptPost, now: datetime, is_told: bool, lost: list[str]
) -> None:
    """Staff choose whether what is lost is told; that nothing is left is told in any case."""
    bought(begin, ana, at=now, expires_at=now - DAY)
    (sweep,) = start_sweep(begin, SweepTrigger.STAFF, grace_hours=0, is_told=is_told, now=now)
    sweep_lots(begin, UnrenewedLeases().terms, sweep, now=now)
    send_all(begin, post, now=now)
    assert sorted(post.subjects) == [*lost, "No hours are left"]


@pytest.mark.parametrize("change", ["given back", "extended"])
def test_what_was_given_back_has_not_expired(
    begin: Begin, ana: int, post: KeptPost, now: datetime, change: str
) -> None:
    """A sweep by mistake is undone before its mails leave."""
    bought(begin, ana, at=now, expires_at=now - DAY)
    note_lost(begin, ana, minutes=450, now=now)
    if change == "extended":
        extend(begin, 1, now + DAY)
    else:
        run(begin, "UPDATE hour_lot SET minutes_left = minutes_left + 450, minutes_expired = 0")
    send_all(begin, post, now=now)
    assert states(begin) == [SKIPPED]


def hand_over(begin: Begin, guest: int, now: datetime) -> int:
    account = add_student(begin, "ana@example.org", at=now, external_id="ana")
    with begin() as session:
        ledger.transfer_all(session, guest, account, at=now)
    return account


def test_whoever_has_the_lot_now_is_told(begin: Begin, warned: int, post: KeptPost, now: datetime) -> None:
    hand_over(begin, warned, now)
    send_all(begin, post, now=now)
    assert [mail.recipient for mail in post.mails] == ["ana@example.org"]


def test_who_is_told_by_a_note_of_his_own_is_told_once(
    begin: Begin, warned: int, post: KeptPost, now: datetime
) -> None:
    """Two looks at the moment of a handover note the lot for both."""
    account = hand_over(begin, warned, now)
    copy = """
        INSERT INTO notification (id, topic, subject, student_id, facts, state, created_at, due_at, hint_at)
        SELECT gen_random_uuid(), topic, subject, :account, facts, state, created_at, due_at, hint_at FROM notification
    """
    run(begin, copy, account=account)
    send_all(begin, post, now=now)
    assert [mail.recipient for mail in post.mails] == ["ana@example.org"]
    assert [(note.student_id, note.state) for note in notes(begin)] == [(warned, SKIPPED), (account, SENT)]


def test_a_guest_whose_hours_moved_is_not_told_that_they_are_gone(
    begin: Begin, ana: int, post: KeptPost, now: datetime
) -> None:
    credited(begin, ana, at=now, expires_at=None, minutes=60)
    taken(begin, 1, 60, at=now)
    note_low(begin, ana, now=now)
    hand_over(begin, ana, now)
    send_all(begin, post, now=now)
    assert states(begin) == [SKIPPED]


@pytest.mark.usefixtures("warned")
def test_a_post_in_trouble_is_tried_again_at_growing_intervals(begin: Begin, now: datetime) -> None:
    post = KeptPost(*(PostUnavailableError(f"trouble {number}") for number in range(3)))
    waits: list[timedelta] = []
    for _ in range(3):
        send_all(begin, post, now=now)
        (note,) = notes(begin)
        assert (note.state, note.last_error) == (WAITING, f"trouble {len(waits)}")
        assert note.due_at is not None
        waits.append(note.due_at - datetime.now(UTC))
    assert timedelta() < waits[0] < waits[1] < waits[2]
    send_all(begin, post, now=now)
    assert len(post.mails) == 1


def test_mail_waits_for_its_server_for_days() -> None:
    """A weekend without a mail server costs no warning; nothing is tried for ever."""
    assert 4 * DAY < 0.8 * timedelta(seconds=sum(retry.MAIL.seconds)) < 5 * DAY
    assert list(retry.MAIL.seconds) == sorted(retry.MAIL.seconds)
    assert retry.MAIL.then_stop


@pytest.mark.usefixtures("warned")
def test_a_post_that_never_comes_back_ends_as_a_dead_letter(begin: Begin, now: datetime) -> None:
    run(begin, "UPDATE notification SET deferrals = :all, attempts = :all", all=len(retry.MAIL.seconds))
    send_all(begin, KeptPost(PostUnavailableError("away")), now=now)
    (note,) = notes(begin)
    assert note.gave_up_at is not None
    assert (note.due_at, note.state, note.last_error) == (None, WAITING, "away")


@pytest.mark.usefixtures("warned")
def test_a_refused_address_is_a_dead_letter_at_once(begin: Begin, now: datetime) -> None:
    send_all(begin, KeptPost(MailRefusedError("550 5.1.1")), now=now)
    (note,) = notes(begin)
    assert note.gave_up_at is not None


def test_no_mail_is_written_to_what_is_no_address(begin: Begin, warned: int, post: KeptPost, now: datetime) -> None:
    run(begin, "UPDATE student SET email = 'ana' WHERE id = :id", id=warned)
    send_all(begin, post, now=now)
    (note,) = notes(begin)
    assert note.gave_up_at is not None
    assert post.mails == []


class DiedError(BaseException):
    """What nobody catches: the process is gone."""


def die_after_sending(begin: Begin, post: KeptPost, note: Notification, now: datetime) -> None:
    def die() -> None:
        raise DiedError

    post.on_mail = die
    with pytest.raises(DiedError):
        send_one(begin, post, note.id, now=now)
    run(begin, LOSE_CLAIM)
    post.on_mail = lambda: None


@pytest.mark.usefixtures("warned")
def test_a_worker_that_dies_after_sending_costs_one_copy_of_the_same_id(
    begin: Begin, post: KeptPost, now: datetime
) -> None:
    """Nobody can know whether the first one left; mail programs take two of one Message-ID for one."""
    (note,) = notes(begin)
    die_after_sending(begin, post, note, now)
    for _ in range(3):
        send_one(begin, post, note.id, now=now)
    assert [mail.message["Message-ID"] for mail in post.mails] == [f"<{note.id}@example.com>"] * 2
    assert states(begin) == [SENT]


@pytest.mark.usefixtures("warned")
def test_a_mail_is_never_sent_more_than_twice(begin: Begin, post: KeptPost, now: datetime) -> None:
    """What kills each worker that has it must not fill a student's mailbox."""
    (note,) = notes(begin)
    for _ in range(MOST_SENDS):
        die_after_sending(begin, post, note, now)
    for _ in range(3):
        send_one(begin, post, note.id, now=now)
    assert len(post.mails) == MOST_SENDS
    (note,) = notes(begin)
    assert note.gave_up_at is not None
    assert "may have been sent" in (note.last_error or "")


@pytest.mark.usefixtures("warned")
def test_no_transaction_is_open_while_the_post_works(begin: Begin, post: KeptPost, now: datetime) -> None:
    """A slow server must not hold rows and connections of ours."""
    (note,) = notes(begin)
    post.on_mail = lambda: run(begin, "SET LOCAL lock_timeout = '1s'; SELECT FROM notification FOR UPDATE")
    send_one(begin, post, note.id, now=now)
    assert states(begin) == [SENT]


@pytest.mark.usefixtures("warned")
def test_the_claim_is_held_while_the_post_works(begin: Begin, post: KeptPost, now: datetime) -> None:
    (note,) = notes(begin)
    leases = UnrenewedLeases()
    held = []
    post.on_mail = lambda: held.extend(leases.holding)
    message = SendNotification(notification_id=note.id)
    send_notification(begin, leases, post, message, zone=ZONE, now=now)
    assert len(held) == 1


@pytest.mark.usefixtures("warned")
def test_no_log_line_names_a_person(begin: Begin, now: datetime) -> None:
    """Ids are enough to find out more, for whoever may."""
    with capture_logs() as lines:
        send_all(begin, KeptPost(PostUnavailableError("away")), now=now)
        send_all(begin, KeptPost(), now=now)
    assert [line["event"] for line in lines] == ["mail_not_sent", "notification_decided"]
    assert "ana" not in json.dumps(lines, default=str).lower()
