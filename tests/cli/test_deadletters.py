"""Support sees what gave up, tries a replay, replays one or many, puts aside, is done with: by command."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path

import pytest

from billing.cli import bulk, replays
from billing.cli.acts import ActRefusedError
from billing.cli.bulk import each
from billing.config import Settings
from billing.db import Begin
from billing.deadletters.names import LetterName
from billing.deadletters.pace import Pace
from billing.deployment import Deployment
from billing.errors import DatabaseUnavailableError
from billing.reads.deadletters import DeadLetterView
from billing.reads.staff_acts import ActView
from billing.secrets import Vault
from tests.cli.support import Billing
from tests.support.deadletters import EACH_KIND, REASON, Graveyard
from tests.support.factories import add_event, event_body
from tests.support.stack import eventually

WHY = ("--reason", "Its handler is mended.")


@pytest.fixture
def yard(begin: Begin, database_url: str, deployment: Deployment, vault: Vault, settings: Settings) -> Graveyard:
    now = datetime.now(UTC).replace(microsecond=0)
    return Graveyard(begin, database_url, deployment, vault, settings, now)


@contextmanager
def at_work(yard: Graveyard) -> Iterator[None]:
    """A worker of events, for as long as the block runs."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.02):
            yard.drain()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        is_over.set()
        worker.join()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker comes, so nobody waits for one."""
    monkeypatch.setattr(replays, "PATIENCE_SECONDS", 0.0)


# --- one ---


def test_a_letter_is_listed_and_shown_with_its_facts(billing: Billing, yard: Graveyard) -> None:
    yard.event()
    (listed,) = billing("deadletters", "list", "--json").json
    assert (listed["id"], listed["state"], listed["error_class"]) == ("webhook_event:1", "dead", "ValueError")
    assert (listed["attempts"], len(listed["digest"])) == (7, 32)
    assert listed["first_at"] < listed["at"]
    line = billing("deadletters", "list").out
    assert line.split()[:2] == ["webhook_event:1", "dead"]
    assert REASON in line
    assert billing("deadletters", "show", "webhook_event:1", "--json").json["row"]["state"] == "dead"


def test_a_replay_tells_what_became_of_it(billing: Billing, yard: Graveyard) -> None:
    """Not that it was asked for, but that the hours are there."""
    yard.event()
    with at_work(yard):
        told = billing("deadletters", "replay", "webhook_event:1", *WHY, "--json")
    assert told.status == 0, told.err
    assert (told.json["result"], told.json["became"], told.json["state"]) == ("reopened", "done", "applied")
    (entry,) = told.json["ledger_entries"]
    assert (entry["kind"], entry["minutes"]) == ("credit", 600)
    act = yard.room.row(yard.scalar("SELECT id FROM staff_act"))
    assert (act.action, act.target, act.actor) == ("replay", "webhook_event:1", f"cli:{getuser()}")
    assert act.reason == WHY[1]


def test_a_replay_that_ends_dead_again_is_a_failure(
    billing: Billing, yard: Graveyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = yard.event().name
    opened = replays.opened

    def and_dies(settings: Settings, letter: LetterName, reason: str) -> ActView:
        act = opened(settings, letter, reason)
        yard.die(name, "KeyError: 'plan'")
        return act

    monkeypatch.setattr(replays, "opened", and_dies)
    told = billing("deadletters", "replay", str(name), *WHY)
    assert (told.status, told.out) == (1, "webhook_event:1: dead again: KeyError: 'plan'\n")


@pytest.mark.usefixtures("hurried")
def test_a_replay_that_nobody_works_says_when_it_is_due(billing: Billing, yard: Graveyard) -> None:
    yard.event()
    told = billing("deadletters", "replay", "webhook_event:1", *WHY)
    assert told.status == 1
    assert told.out.startswith("webhook_event:1: opened anew and not done yet, due at 20")
    again = billing("deadletters", "replay", "webhook_event:1", *WHY)
    assert (again.status, again.json if again.out.startswith("{") else None) == (0, None)
    assert "waits for a worker already, due at 20" in again.out


def test_a_replay_without_a_reason_is_none(billing: Billing, yard: Graveyard) -> None:
    yard.event()
    for words in (
        ("replay", "webhook_event:1"),
        ("park", "webhook_event:1"),
        ("discard", "--all"),
        ("replay", "webhook_event:1", "--reason", " "),
    ):
        assert billing("deadletters", *words).status == 2
    assert billing("events", "replay", "1").status == 2
    assert yard.scalar("SELECT count(*) FROM staff_act") == 0


@pytest.mark.parametrize("verb", ["replay", "park", "discard"])
def test_either_one_or_a_filter_is_named(billing: Billing, verb: str) -> None:
    """A bare `replay` must never mean everything."""
    for words in ((), ("webhook_event:1", "--all"), ("webhook_event:1", "--kind", "refund")):
        assert billing("deadletters", verb, *words, *WHY).status == 2


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense:1",),
        ("webhook_event",),
        ("--kind", "nonsense"),
        ("--all", "--rate", "fast"),
        ("--before", "yesterday"),
        ("--all", "--limit", "0"),
        ("--all", "--state", "buried"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(billing: Billing, words: tuple[str, ...]) -> None:
    assert billing("deadletters", "replay", *words, *WHY).status == 2


def test_what_is_not_there_is_one_line(billing: Billing, yard: Graveyard) -> None:
    assert billing("deadletters", "replay", "webhook_event:999", *WHY).complaint == "there is no webhook_event:999"
    assert billing("deadletters", "park", "webhook_event:999", *WHY).complaint == "there is no webhook_event:999"
    assert billing("events", "replay", "evt_none", *WHY).complaint.startswith("no event has the id evt_none")
    unread = billing("deadletters", "replay", str(yard.message()), *WHY).complaint
    assert "only its digest is kept" in unread


def test_a_dry_run_shows_the_effect_and_has_none(billing: Billing, yard: Graveyard) -> None:
    yard.event()
    told = billing("deadletters", "replay", "webhook_event:1", "--dry-run", "--json").json
    assert (told["outcome"], len(told["effects"]["entries"])) == ("applied", 1)
    shown = billing("deadletters", "replay", "webhook_event:1", "--dry-run").out.splitlines()
    assert shown[0] == "webhook_event:1: applied: 1 purchase, 1 entry, 1 lot"
    assert any("kind=credit" in line and "minutes=600" in line for line in shown)
    assert yard.scalar("SELECT count(*) FROM staff_act") == 0
    assert yard.scalar("SELECT count(*) FROM hour_entry") == 0


def test_one_is_parked_and_discarded(billing: Billing, yard: Graveyard) -> None:
    yard.event()
    for verb, state in (("park", "parked"), ("discard", "discarded")):
        assert billing("deadletters", verb, "webhook_event:1", *WHY).out == f"webhook_event:1: {state}\n"
        assert [one["id"] for one in billing("deadletters", "list", "--state", state, "--json").json] == [
            "webhook_event:1"
        ]
    assert billing("deadletters", "list", "--state", "dead").out == "nothing gave up\n"


def test_an_act_that_a_worker_has_in_hand_is_waited_for(billing: Billing, yard: Graveyard) -> None:
    """As one of the sweeper's hints may do while the command is still on its way."""
    yard.event()
    yard.run("""
        CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.lease_token := gen_random_uuid(); NEW.lease_until := clock_timestamp() + interval '1 second';
            NEW.hint_at := NEW.lease_until; RETURN NEW;
        END $$;
        CREATE TRIGGER taken BEFORE INSERT ON staff_act FOR EACH ROW EXECUTE FUNCTION taken()
    """)
    assert billing("deadletters", "park", "webhook_event:1", *WHY).out == "webhook_event:1: parked\n"


def test_what_is_done_with_is_listed_only_where_it_is_asked_for(billing: Billing, yard: Graveyard) -> None:
    """Who looks for work is not shown what nobody has to do any more; what is put aside still wants somebody."""
    dead_events(yard, 3)
    billing("deadletters", "park", "webhook_event:2", *WHY)
    billing("deadletters", "discard", "webhook_event:3", *WHY)

    def listed(*words: str) -> set[str]:
        return {one["id"] for one in billing("deadletters", "list", *words, "--json").json}

    assert listed() == listed("--kind", "webhook_event") == {"webhook_event:1", "webhook_event:2"}
    assert listed("--state", "discarded") == {"webhook_event:3"}
    assert billing("deadletters", "show", "webhook_event:3", "--json").json["state"] == "discarded"


# --- events ---


def test_an_event_is_replayed_by_its_name_at_stripe(billing: Billing, yard: Graveyard) -> None:
    name = yard.event().name
    stripe_id = yard.row(name)["stripe_event_id"]
    assert "applied: 1 purchase" in billing("events", "replay", stripe_id, "--dry-run").out
    with at_work(yard):
        done = billing("events", "replay", stripe_id, *WHY)
    assert (done.status, done.out.splitlines()[0]) == (0, "webhook_event:1: done (applied)")
    assert done.out.splitlines()[1].startswith("  credit 10.00 h of student 1 (")
    again = billing("events", "replay", "1", *WHY)
    assert (again.status, again.out) == (0, "webhook_event:1: already applied (applied); nothing was done\n")


def test_events_are_listed_by_their_time(billing: Billing, yard: Graveyard) -> None:
    for days in (1, 3):
        at = yard.now - timedelta(days=days)
        add_event(yard.begin, event_body("balance.available", {"id": "any"}, at=at), at=at)
    then = (yard.now - timedelta(days=2)).isoformat()
    assert [one["id"] for one in billing("events", "list", "--since", then, "--json").json] == [1]
    assert [one["id"] for one in billing("events", "list", "--before", then, "--json").json] == [2]
    assert billing("events", "list", "--since", "soon").status == 2


# --- many ---


def dead_events(yard: Graveyard, count: int) -> None:
    for _ in range(count):
        yard.event()


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("words", "reopened"),
    [
        (("--all",), {1, 2, 3}),
        (("--kind", "webhook_event"), {1, 2, 3}),
        (("--kind", "refund"), set()),
        (("--class", "KeyError"), {2}),
        (("--before", "2026-01-01"), {3}),
        (("--all", "--limit", "1"), {3}),
        (("--all", "--state", "parked"), {4}),
    ],
)
def test_many_are_narrowed(billing: Billing, yard: Graveyard, words: tuple[str, ...], reopened: set[int]) -> None:
    """The oldest first; what was parked or discarded is meant only where it is named."""
    dead_events(yard, 4)
    yard.die(LetterName("webhook_event", "2"), "KeyError: 'plan'")
    yard.run("UPDATE webhook_event SET gave_up_at = '2025-12-31' WHERE id = 3")
    billing("deadletters", "park", "webhook_event:4", *WHY)
    yard.message()
    told = billing("deadletters", "replay", *words, "--rate", "9999/s", *WHY, "--json")
    assert {int(one["id"].split(":")[1]) for one in told.json["replayed"]} == reopened
    assert told.json["asked"] == told.json["done"] == len(reopened)
    assert told.status == (1 if reopened else 0)


def test_those_that_failed_alike_are_replayed_together(billing: Billing, yard: Graveyard) -> None:
    for reason in ("no plan 7", "no plan 12", "no money"):
        yard.die(yard.event().name, reason)
    digest = billing("deadletters", "show", "webhook_event:1", "--json").json["digest"]
    with at_work(yard):
        told = billing("deadletters", "replay", "--digest", digest[:8], "--rate", "9999/s", *WHY)
    assert (told.status, told.out) == (0, "2 of 2 opened anew: 2 done, 0 not\n")
    acts = yard.scalar("SELECT count(*) FROM staff_act WHERE action = 'replay' AND state = 'done'")
    assert (acts, yard.scalar("SELECT count(*) FROM dead_letter")) == (2, 1)


def test_many_are_parked_each_by_an_act_of_its_own(billing: Billing, yard: Graveyard) -> None:
    dead_events(yard, 3)
    told = billing("deadletters", "park", "--all", "--rate", "9999/s", *WHY)
    assert (told.status, told.out) == (0, "3 of 3 parked\n")
    assert yard.scalar("SELECT count(DISTINCT act_id) FROM dead_letter_mark") == 3
    assert billing("deadletters", "discard", "--all", *WHY).out == "0 of 0 discarded\n"
    assert billing("deadletters", "discard", "--all", "--state", "parked", "--rate", "9999/s", *WHY).status == 0


def letters(count: int) -> list[DeadLetterView]:
    then = datetime(2026, 3, 2, tzinfo=UTC)
    return [
        DeadLetterView("webhook_event", str(n), REASON, "ValueError", 7, then, then, "d", "dead")
        for n in range(1, count + 1)
    ]


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_many_go_at_the_rate_that_was_asked_for() -> None:
    time, begun = FakeTime(), []
    pace = Pace(0.1, lambda: time.now, time.sleep)
    progress = each(letters(20), lambda _: begun.append(time.now), pace, lambda: False)
    assert begun == pytest.approx([n / 10 for n in range(20)])
    assert (progress.done, progress.is_cut_short) == (20, False)


def test_who_stops_it_leaves_what_was_done() -> None:
    time, done = FakeTime(), []
    pace = Pace(0.1, lambda: time.now, time.sleep)
    progress = each(letters(20), lambda one: done.append(one.subject), pace, lambda: len(done) >= 7)
    assert (done, progress.done, progress.is_cut_short) == ([str(n) for n in range(1, 8)], 7, True)


@pytest.mark.parametrize(
    ("error", "done"), [(ActRefusedError("there is none"), 9), (DatabaseUnavailableError("it is away"), 2)]
)
def test_one_that_is_refused_stops_nobody_and_a_database_that_is_away_does(error: Exception, done: int) -> None:
    time = FakeTime()

    def act(letter: DeadLetterView) -> None:
        if letter.subject == "3":
            raise error

    progress = each(letters(10), act, Pace(0.0, lambda: time.now, time.sleep), lambda: False)
    assert (progress.done, progress.troubles) == (done, [("webhook_event:3", str(error))])
    assert not progress.is_well


@pytest.mark.parametrize("number", bulk.SIGNALS)
def test_a_signal_ends_it_after_the_one_in_hand(
    yard: Graveyard, variables: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """What was opened is with the workers, the others are dead letters as before, and it says how far it came."""
    dead_events(yard, 6)
    words = ["-c", "from billing import cli; cli.main()", "deadletters", "replay", "--all", "--rate", "1/m", *WHY]
    surroundings = {**variables, "PATH": os.defpath, "HOME": str(tmp_path)}
    command = subprocess.Popen(
        [sys.executable, *words], env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    eventually(lambda: yard.scalar("SELECT count(*) FROM dead_letter") == 5, 20)
    command.send_signal(number)
    said, _ = command.communicate(timeout=20)
    assert command.returncode == 1
    assert said.splitlines()[-1].startswith("stopped: 1 of 6 opened anew")
    assert yard.scalar("SELECT count(*) FROM dead_letter") == 5


def test_one_event_that_still_breaks_is_told_among_many(
    billing: Billing, yard: Graveyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_events(yard, 2)
    opened = replays.opened

    def and_one_dies(settings: Settings, name: LetterName, reason: str) -> ActView:
        act = opened(settings, name, reason)
        if name.subject == "2":
            yard.die(name, "KeyError: 'plan'")
        return act

    monkeypatch.setattr(replays, "opened", and_one_dies)
    monkeypatch.setattr(replays, "PATIENCE_SECONDS", 0.0)
    told = billing("deadletters", "replay", "--all", "--rate", "9999/s", *WHY)
    assert told.status == 1
    assert "webhook_event:2: dead again: KeyError: 'plan'" in told.out
    assert told.out.splitlines()[-1] == "2 of 2 opened anew: 0 done, 2 not"


def test_each_kind_can_be_named(billing: Billing) -> None:
    for kind in (*EACH_KIND, "message"):
        assert billing("deadletters", "list", "--kind", kind).out == "nothing gave up\n"
