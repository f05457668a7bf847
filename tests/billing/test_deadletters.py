"""What gave up is worked anew by its own use case, once, with a reason; or is put aside, or done with."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing import ledger, work
from billing.cli.reading import ask_at
from billing.config import Settings
from billing.db import Begin
from billing.deadletters.names import KINDS, LetterName
from billing.deadletters.outcome import Became, find_standing
from billing.deadletters.reopen import Result, reopen
from billing.deployment import Deployment
from billing.ids import new_id
from billing.messages import EventsWaiting
from billing.models import Purchase
from billing.secrets import Vault
from billing.staff.wishes import CloseCase, CloseFinding, Discard, Park, Replay, Wish
from billing.states import ActState, PurchaseState
from tests.support.deadletters import EACH_KIND, REASON, Dead, Graveyard
from tests.support.factories import add_event, add_purchase, add_student, event_body, intent_body, minutes_left


@pytest.fixture
def yard(begin: Begin, database_url: str, deployment: Deployment, vault: Vault, settings: Settings) -> Graveyard:
    now = datetime.now(UTC).replace(microsecond=0)
    return Graveyard(begin, database_url, deployment, vault, settings, now)


def wish(kind: type[Replay | Park | Discard], name: LetterName) -> Wish:
    return kind(kind=name.kind, subject=name.subject)


def letters(yard: Graveyard) -> list[Mapping[str, Any]]:
    with yard.begin() as session:
        return [dict(row) for row in session.execute(text("SELECT * FROM dead_letter ORDER BY at")).mappings()]


def state_of(yard: Graveyard, name: LetterName) -> str:
    """How the one letter of that name stands; empty where it is none."""
    found = [letter["state"] for letter in letters(yard) if (letter["kind"], letter["subject"]) == _key(name)]
    return str(found[0]) if found else ""


def _key(name: LetterName) -> tuple[str, str]:
    return name.kind, name.subject


# --- the list ---


def test_every_kind_of_work_can_be_a_dead_letter_and_be_replayed() -> None:
    """A new kind without its test would be found out when somebody needs it."""
    assert EACH_KIND.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", EACH_KIND)
def test_a_letter_says_what_failed_since_when_and_how_often(yard: Graveyard, kind: str) -> None:
    dead = EACH_KIND[kind](yard)
    if kind == "purchase":
        yard.die(dead.name)
    (letter,) = letters(yard)
    row = yard.row(dead.name)
    assert (letter["kind"], letter["subject"], letter["attempts"]) == (*_key(dead.name), 7)
    assert (letter["reason"], letter["error_class"], letter["state"]) == (REASON, "ValueError", "dead")
    assert (letter["at"], letter["first_at"]) == (row["gave_up_at"], row["troubled_since"])


def test_what_was_never_handed_back_failed_since_it_came(yard: Graveyard) -> None:
    name = yard.event().name
    yard.run("UPDATE webhook_event SET troubled_since = NULL")
    (letter,) = letters(yard)
    assert letter["first_at"] == yard.row(name)["received_at"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no purchase 17 of pi_3QabcD9", "no purchase 4711 of pi_3Qxyz77"),
        ("lost 98b8de07-f251-464c-816e-9779dcd63c5b", "lost f20482a7-1934-4e28-af90-dd64d331cf78"),
        ("ana@example.com does not answer", "boss@example.org does not answer"),
        ("key f72e38debb0446f8acaf04cb952f7b69", "key e96ba4420a254823b34d037480255a88"),
    ],
)
def test_alike_failures_have_one_digest(yard: Graveyard, one: str, other: str) -> None:
    """So that a thousand of them are one line for who looks at them, and one command for who mends them."""
    for reason in (one, other):
        yard.die(yard.event().name, reason)
    yard.die(yard.event().name, "something else")
    found = [letter["digest"] for letter in letters(yard)]
    assert found[0] == found[1] != found[2]


def test_failures_of_two_kinds_are_not_alike(yard: Graveyard) -> None:
    yard.event()
    yard.staff_act()
    assert len({letter["digest"] for letter in letters(yard)}) == 2


# --- replay ---


@pytest.mark.parametrize("kind", EACH_KIND)
def test_each_kind_is_replayed_and_worked_by_its_use_case(yard: Graveyard, kind: str) -> None:
    dead = EACH_KIND[kind](yard)
    act = yard.room.do(wish(Replay, dead.name))
    assert act.state is ActState.DONE, act.error_message
    assert act.after is not None
    assert act.after["result"] == Result.REOPENED
    row = yard.row(dead.name)
    assert (row["attempts"], row["deferrals"], row["gave_up_at"], row["troubled_since"]) == (0, 0, None, None)
    assert row["due_at"] is not None
    assert letters(yard) == []
    dead.work()
    assert _is_over(yard, dead)
    assert ledger.violations(yard.begin) == []


def _is_over(yard: Graveyard, dead: Dead) -> bool:
    row = yard.row(dead.name)
    says = "issued" if row.get("issued_at") else str(row.get("state") or "")
    assert (row["due_at"], row["gave_up_at"], says) == (None, None, dead.ends_as), row["last_error"]
    return True


def test_what_is_looked_at_from_time_to_time_is_done_once_it_was_looked_at(yard: Graveyard) -> None:
    dead = yard.payment_watch()
    yard.run("UPDATE payment_watch SET asks = 0")

    def became() -> Became:
        found = ask_at(yard.url, lambda connection: find_standing(connection, dead.name, 0))
        assert found is not None
        return found.became

    seen = [became()]
    yard.reopen(dead.name)
    seen.append(became())
    dead.work()
    assert [*seen, became()] == [Became.DEAD, Became.WAITING, Became.DONE]
    assert yard.row(dead.name)["due_at"] is not None


@pytest.mark.parametrize("kind", EACH_KIND)
def test_a_replay_hints_a_worker(yard: Graveyard, kind: str) -> None:
    name = EACH_KIND[kind](yard).name
    told = yard.room.perform(yard.room.accept(wish(Replay, name)).id)
    assert KINDS[kind].hints([name.key])[0] in told


def test_a_lost_hint_costs_two_seconds(yard: Graveyard) -> None:
    """The row is due, and the sweeper finds it."""
    name = yard.event().name
    yard.reopen(name)
    assert yard.scalar("SELECT hint_at - due_at < interval '3 seconds' FROM webhook_event")
    yard.run("UPDATE webhook_event SET hint_at = clock_timestamp()")
    assert work.take_overdue(yard.begin) == [EventsWaiting()]


def test_a_replayed_event_credits_once(yard: Graveyard) -> None:
    dead = yard.event()
    for _ in range(3):
        yard.room.do(wish(Replay, dead.name))
        dead.work()
    assert yard.scalar("SELECT sum(minutes_left) FROM student_balance") == 600


def test_fifty_replays_at_once_have_one_effect(yard: Graveyard) -> None:
    """Everybody who sees the alarm presses the button."""
    dead = yard.event()
    asked = [yard.room.accept(wish(Replay, dead.name)).id for _ in range(50)]
    room = yard.room

    def press(some: list[Any]) -> None:
        for act_id in some:
            room.perform(act_id)
            dead.work()

    threads = [threading.Thread(target=press, args=(asked[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results = [(row.after or {}).get("result") for row in map(room.row, asked)]
    assert results.count(Result.REOPENED) == 1
    assert set(results) <= {*Result}
    assert yard.scalar("SELECT count(*) FROM hour_entry") == 1
    assert ledger.violations(yard.begin) == []


def test_an_event_that_was_applied_has_no_second_effect_and_says_so(yard: Graveyard) -> None:
    dead = yard.event()
    yard.reopen(dead.name)
    dead.work()
    before = yard.row(dead.name)
    act = yard.room.do(wish(Replay, dead.name))
    assert (act.state, (act.after or {})["result"]) == (ActState.DONE, Result.ALREADY)
    assert yard.row(dead.name) == before


def test_an_event_that_meant_nothing_is_worked_anew(yard: Graveyard) -> None:
    """A later version may know what it means."""
    body = event_body("balance.available", {"id": "any"}, at=yard.now)
    name = LetterName("webhook_event", str(add_event(yard.begin, body, at=yard.now)))
    yard.drain()
    assert yard.row(name)["state"] == "ignored"
    assert yard.reopen(name).found.result is Result.REOPENED
    assert (yard.row(name)["state"], yard.row(name)["outcome"], yard.row(name)["processed_at"]) == (
        "received",
        None,
        None,
    )
    yard.drain()
    assert (yard.row(name)["state"], yard.row(name)["outcome"]) == ("ignored", "unhandled")


def test_a_parked_event_finds_its_purchase_when_it_is_there(yard: Graveyard) -> None:
    dead = yard.event()
    yard.run("UPDATE webhook_event SET state = 'parked', outcome = 'wait'")
    yard.room.do(wish(Replay, dead.name))
    dead.work()
    assert yard.row(dead.name)["outcome"] == "applied"


def test_what_is_open_already_waits_for_its_time(yard: Graveyard) -> None:
    dead = yard.event()
    yard.reopen(dead.name)
    yard.run("UPDATE webhook_event SET due_at = due_at + interval '1 hour', attempts = 3, deferrals = 3")
    before = yard.row(dead.name)
    act = yard.room.do(wish(Replay, dead.name))
    assert act.after is not None
    assert act.after["result"] == Result.WAITING
    assert act.after["due_at"] is not None
    assert yard.row(dead.name) == before


def test_what_was_decided_by_another_way_is_no_dead_letter_any_more(yard: Graveyard) -> None:
    """A purchase whose cancelling gave up and that was paid after all must not be cancelled by a replay."""
    owner = add_student(yard.begin, at=yard.now)
    sold = add_purchase(yard.begin, at=yard.now, state=PurchaseState.PENDING, student_id=owner)
    name = yard.die(LetterName("purchase", str(sold.id)))
    body = event_body("payment_intent.succeeded", intent_body(sold, yard.deployment), at=yard.now)
    add_event(yard.begin, body, at=yard.now)
    yard.drain()
    assert state_of(yard, name) == "dead"
    assert yard.reopen(name).found.result is Result.ALREADY
    assert (state_of(yard, name), yard.row(name)["due_at"]) == ("", None)
    assert minutes_left(yard.begin, owner) == 600


@pytest.mark.parametrize(
    ("wished", "result"),
    [
        ("cancel_requested_at = NULL", Result.ALREADY),
        ("cancel_requested_at = now()", Result.REOPENED),
        ("abandoned_at = now()", Result.REOPENED),
    ],
)
def test_a_replay_cancels_no_payment_that_nobody_wants_to_end(yard: Graveyard, wished: str, result: Result) -> None:
    """Its buyer may be about to pay."""
    sold = add_purchase(yard.begin, at=yard.now, state=PurchaseState.PENDING)
    name = yard.die(LetterName("purchase", str(sold.id)))
    yard.run(f"UPDATE purchase SET {wished}")  # noqa: S608
    assert yard.reopen(name).found.result is result


def test_an_act_that_is_decided_can_be_asked_for_without_being_touched(yard: Graveyard) -> None:
    """What staff did is kept as it was."""
    dead = yard.staff_act()
    yard.reopen(dead.name)
    dead.work()
    assert yard.reopen(dead.name).found.result is Result.ALREADY


def test_what_kills_its_worker_again_is_a_dead_letter_again(yard: Graveyard) -> None:
    dead = yard.event()
    yard.reopen(dead.name)
    yard.run("UPDATE webhook_event SET attempts = 7")
    yard.drain()
    assert state_of(yard, dead.name) == "dead"


def test_a_worker_that_dies_after_the_replay_loses_nothing(yard: Graveyard) -> None:
    """Its claim runs out, and the next one finds the row: the replay is in the row, not in a message."""
    dead = yard.event()
    yard.room.do(wish(Replay, dead.name))
    with yard.begin() as session:
        assert work.claim_batch(session, _event_model(), 10, work.LeaseTerms()) is not None
    dead.work()
    assert yard.row(dead.name)["state"] == "received"
    yard.run("UPDATE webhook_event SET lease_until = clock_timestamp() - interval '1 second'")
    dead.work()
    assert yard.row(dead.name)["state"] == "applied"
    assert yard.scalar("SELECT count(*) FROM hour_entry") == 1


def test_a_worker_that_dies_within_the_act_leaves_both_as_they_were(yard: Graveyard) -> None:
    """The audit row and the row it is about are one transaction."""
    dead = yard.event()
    act_id = yard.room.accept(wish(Replay, dead.name)).id

    with pytest.raises(KilledError):
        _die_within(yard, dead.name)
    assert (state_of(yard, dead.name), yard.room.row(act_id).state) == ("dead", ActState.REQUESTED)
    yard.room.perform(act_id)
    assert (state_of(yard, dead.name), yard.room.row(act_id).state) == ("", ActState.DONE)


class KilledError(Exception):
    """In place of a kill: nothing of the transaction is committed."""


def _die_within(yard: Graveyard, name: LetterName) -> None:
    with yard.begin() as session:
        reopen(session, name)
        raise KilledError


def _event_model() -> Any:
    return KINDS["webhook_event"].model


# --- refusals ---


@pytest.mark.parametrize("kind", [Replay, Park, Discard])
@pytest.mark.parametrize(
    ("letter", "subject"),
    [
        ("webhook_event", "999"),
        ("webhook_event", "evt_1"),
        ("webhook_event", "9" * 30),
        ("refund", "00000000-0000-0000-0000-000000000009"),
        ("refund", "12"),
        ("nonsense", "1"),
        ("message", "999"),
    ],
)
def test_what_is_not_there_is_not_found(
    yard: Graveyard, kind: type[Replay | Park | Discard], letter: str, subject: str
) -> None:
    act = yard.room.do(kind(kind=letter, subject=subject))
    unread = kind is Replay and letter == "message"
    assert (act.state, act.error_type) == (ActState.REFUSED, "invalid_state" if unread else "not_found")


def test_a_message_that_nobody_could_read_cannot_be_replayed(yard: Graveyard) -> None:
    """Its bytes were never kept."""
    act = yard.room.do(wish(Replay, yard.message()))
    assert (act.state, act.error_type) == (ActState.REFUSED, "invalid_state")
    assert "only its digest is kept" in str(act.error_message)


@pytest.mark.parametrize("kind", [Park, Discard])
def test_what_works_cannot_be_put_aside(yard: Graveyard, kind: type[Park | Discard]) -> None:
    dead = yard.event()
    yard.reopen(dead.name)
    act = yard.room.do(wish(kind, dead.name))
    assert (act.state, act.error_type) == (ActState.REFUSED, "invalid_state")


# --- parked and discarded ---


@pytest.mark.parametrize("kind", [*EACH_KIND, "message"])
def test_each_kind_can_be_parked_and_discarded(yard: Graveyard, kind: str) -> None:
    name = yard.message() if kind == "message" else EACH_KIND[kind](yard).name
    parked = yard.room.do(wish(Park, name))
    assert (parked.before, parked.after, state_of(yard, name)) == ({"state": "dead"}, {"state": "parked"}, "parked")
    discarded = yard.room.do(wish(Discard, name))
    assert (discarded.before, state_of(yard, name)) == ({"state": "parked"}, "discarded")
    assert yard.scalar("SELECT act_id FROM dead_letter_mark") == discarded.id


def test_a_discarded_one_can_be_replayed_after_all(yard: Graveyard) -> None:
    dead = yard.event()
    yard.room.do(wish(Discard, dead.name))
    assert (yard.room.do(wish(Replay, dead.name)).after or {})["result"] == Result.REOPENED
    dead.work()
    assert yard.row(dead.name)["state"] == "applied"
    assert yard.scalar("SELECT count(*) FROM dead_letter_mark") == 0


def test_a_mark_is_about_one_failure(yard: Graveyard) -> None:
    """What gives up again is news, whatever was decided about it before."""
    name = yard.event().name
    yard.room.do(wish(Discard, name))
    yard.die(name)
    assert state_of(yard, name) == "dead"


def test_a_message_that_comes_again_is_news(yard: Graveyard) -> None:
    yard.now += timedelta(days=30)
    name = yard.message()
    yard.room.do(wish(Park, name))
    assert state_of(yard, name) == "parked"
    yard.run("UPDATE unreadable_message SET times = times + 1, last_at = last_at + interval '1 second'")
    assert state_of(yard, name) == "dead"


# --- findings and cases ---

FINDING = """
    INSERT INTO finding (id, kind, source, detail, state, opened_at, seen_at)
    VALUES (:id, 'amount', 'pi_1', 'other sums', 'open', now(), now())
"""
CASE = "INSERT INTO staff_case (reason, source, detail, state, opened_at) VALUES ('any', 'evt_1', '', 'open', now())"


@pytest.mark.parametrize("table", ["finding", "staff_case"])
def test_what_was_looked_at_is_closed_once_with_a_note(yard: Graveyard, table: str) -> None:
    finding_id = new_id()
    yard.run(FINDING, id=finding_id)
    yard.run(CASE)
    asked: Wish = CloseFinding(finding_id=finding_id) if table == "finding" else CloseCase(case_id=1)
    act = yard.room.do(asked)
    with yard.begin() as session:
        row = session.execute(text(f"SELECT * FROM {table}")).mappings().one()  # noqa: S608
    assert (row["state"], row["closed_by"], row["note"]) == ("closed", act.actor, act.reason)
    assert row["closed_at"] == yard.now
    again = yard.room.do(asked)
    assert (again.state, again.error_type) == (ActState.REFUSED, "invalid_state")


@pytest.mark.parametrize("asked", [CloseFinding(finding_id=new_id()), CloseCase(case_id=1)], ids=["finding", "case"])
def test_what_is_not_there_cannot_be_closed(yard: Graveyard, asked: Wish) -> None:
    act = yard.room.do(asked)
    assert (act.state, act.error_type) == (ActState.REFUSED, "not_found")


def test_a_purchase_is_not_touched_by_looking_for_a_letter(yard: Graveyard) -> None:
    sold: Purchase = yard.returns.buy()
    before = yard.row(LetterName("purchase", str(sold.id)))
    assert yard.reopen(LetterName("purchase", str(sold.id))).found.result is Result.WAITING
    assert yard.row(LetterName("purchase", str(sold.id))) == before
