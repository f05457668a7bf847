"""A newcomer sees in a minute what takes the business weeks: time passes for the whole pipeline at once."""

import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing import clock
from billing.cli import clock as command
from billing.cli.clock import next_night
from billing.clock import Offset
from tests.cli.support import Billing
from tests.support.database import TEMPLATE
from tests.support.environment import environment
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, running_stack

DAY = timedelta(days=1)
LISBON = ZoneInfo("Europe/Lisbon")
STEP_AT = "SELECT at FROM purchase_transition WHERE purchase_id = :id AND step = :step"


@pytest.fixture(scope="module")
def _stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    postgres.create_database("clock", template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp("clock")
    processes = ("sandbox", "web", "payments", "webhooks", "hours", "maintenance")
    with running_stack(postgres, valkey, folder, *processes, DATABASE_URL=postgres.url("clock")) as running:
        yield running


@pytest.fixture
def stack(_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """In the machine's time before and after each test; commands of this process follow only while it lasts."""
    monkeypatch.setattr(clock, "_followed", None)
    yield _stack
    Offset(clock.path_of(_stack.settings)).move_to(0)
    _stack.control.post("/clock", json={"reset": True}).raise_for_status()
    _stack.control.post("/settlement", json={"delay_seconds": 3}).raise_for_status()


@pytest.fixture
def at_the_stack(stack: Stack, variables: dict[str, str]) -> None:
    """Commands find the running pipeline in their environment."""
    settings = stack.settings
    more = {"STRIPE_API_BASE": stack.sandbox_url, "STATE_DIR": str(settings.state_dir), "PORT": str(settings.port)}
    variables.clear()
    variables.update(environment(settings.database_url, settings.redis_url, **more))


def bought(stack: Stack, email: str, method: str = "pm_card_visa", state: str = "completed") -> dict[str, Any]:
    accepted = stack.buy(email)
    stack.pay(stack.wait_for(accepted, "pending"), method)
    stack.wait_for(accepted, state)
    return accepted


def instant_of(stack: Stack, accepted: dict[str, Any], column: str) -> datetime:
    found: datetime = stack.scalar(f"SELECT {column} FROM purchase WHERE id = :id", id=accepted["task_id"])  # noqa: S608
    return found


def ahead(instant: datetime) -> timedelta:
    return instant - datetime.now(UTC)


def about(days: float) -> Any:
    return pytest.approx(days * 86_400, abs=60)


@pytest.mark.usefixtures("at_the_stack")
def test_after_forty_days_purchases_are_paid_in_that_time_and_after_a_reset_in_the_machine_s(
    billing: Billing, stack: Stack
) -> None:
    """One process that stayed behind would refuse a signature, or date a payment before its purchase."""
    said = billing("clock", "advance", "40d", "--json")
    assert (said.status, said.json["offset_seconds"], said.json["sandbox_offset_seconds"]) == (0, *[40 * 86_400] * 2)
    assert ahead(datetime.fromisoformat(said.json["now"])).total_seconds() == about(40)
    later = bought(stack, "later@example.com")
    assert ahead(instant_of(stack, later, "accepted_at")).total_seconds() == about(40)
    assert ahead(instant_of(stack, later, "paid_at")).total_seconds() == about(40)
    for step in ("intent_created", "credited"):  # by two workers, each with a clock of its own to follow
        at = stack.scalar(STEP_AT, id=later["task_id"], step=step)
        assert ahead(at).total_seconds() == about(40)
    assert stack.hours("later@example.com", "later") == "10.00"
    assert billing("clock", "reset", "--json").json["offset_seconds"] == 0
    now = bought(stack, "now@example.com")
    assert ahead(instant_of(stack, now, "paid_at")).total_seconds() == about(0)
    assert stack.hours("now@example.com", "now") == "10.00"
    refused = "SELECT count(*) FROM webhook_event WHERE state NOT IN ('applied', 'ignored')"
    assert stack.scalar(refused) == 0
    assert stack.control.get("/deliveries").json()["pending"] == 0


@pytest.mark.usefixtures("at_the_stack")
def test_a_package_expires_before_one_s_eyes(billing: Billing, stack: Stack) -> None:
    """The door and the commands say the same: from the instant of expiry on nothing can be spent."""
    email = "expiry@example.com"
    bought(stack, email)
    billing("clock", "advance", "45d")
    assert (stack.hours(email, "expiry"), shown(billing, email)) == ("10.00", ("10.00", False))
    billing("clock", "advance", "1d1h")
    assert (stack.hours(email, "expiry"), shown(billing, email)) == ("0.00", ("0.00", True))
    billing("clock", "reset")
    assert (stack.hours(email, "expiry"), shown(billing, email)) == ("10.00", ("10.00", False))


def shown(billing: Billing, email: str) -> tuple[str, bool]:
    record = billing("students", "show", email, "--json").json
    return record["balance_summary"]["remaining_hours"], record["packages"][0]["is_expired"]


@pytest.mark.usefixtures("at_the_stack")
def test_what_the_bank_decides_meanwhile_is_decided_on_its_own_day(billing: Billing, stack: Stack) -> None:
    """Time stops at each appointment, and goes on when its news were worked."""
    stack.control.post("/settlement", json={"delay_seconds": 10 * 86_400}).raise_for_status()
    debit = bought(stack, "debit@example.com", "pm_success_de", "processing")
    billing("clock", "advance", "40d")
    assert stack.status(debit)["status"] == "completed"
    assert ahead(instant_of(stack, debit, "paid_at")).total_seconds() == about(10)


@pytest.mark.usefixtures("at_the_stack")
def test_a_payment_is_made_in_another_time_than_its_purchase(billing: Billing, stack: Stack) -> None:
    """Buyers leave a page open over lunch, and clocks are moved in both directions."""
    before = stack.buy("slow@example.com")
    status = stack.wait_for(before, "pending")
    billing("clock", "advance", "12h")
    stack.pay(status)
    stack.wait_for(before, "completed")
    assert ahead(instant_of(stack, before, "paid_at")).total_seconds() == about(0.5)
    there = stack.buy("back@example.com")
    status = stack.wait_for(there, "pending")
    billing("clock", "reset")
    stack.pay(status)
    stack.wait_for(there, "completed")
    assert instant_of(stack, there, "paid_at") == instant_of(stack, there, "accepted_at")


@pytest.mark.usefixtures("at_the_stack")
def test_what_nobody_paid_for_a_day_ends_in_that_time(billing: Billing, stack: Stack) -> None:
    """As beat ends it within the hour: cancelled at Stripe, and told as expired."""
    unpaid = stack.buy("forgot@example.com")
    stack.wait_for(unpaid, "pending")
    billing("clock", "advance", "1d12h")
    assert stack.wait_for(unpaid, "expired")["client_secret"] is None
    billing("clock", "reset")


@pytest.mark.usefixtures("at_the_stack")
def test_each_night_brings_what_beat_would_have_done(
    billing: Billing, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning is due a week before an expiry: in one jump over both, nobody would see it."""
    nights: list[datetime] = []
    monkeypatch.setattr(command, "PASSING", (lambda _begin, _settings: nights.append,))
    said = billing("clock", "advance", "3d", "--json")
    assert said.json["steps"] == len(nights) == 4
    assert [night.astimezone(LISBON).strftime("%H:%M") for night in nights[:-1]] == ["02:30"] * 3
    assert max(later - sooner for sooner, later in pairwise(nights)) <= DAY + timedelta(minutes=1)
    assert ahead(nights[-1]).total_seconds() == about(3)


@pytest.mark.usefixtures("at_the_stack")
def test_times_add_up_and_are_shown(billing: Billing, stack: Stack) -> None:
    assert "as this machine has it" in billing("clock", "show").out
    said = billing("clock", "advance", "1h30m")
    assert "1h30m ahead of this machine; " in said.out
    assert "1h30m pass" in said.err
    assert billing("clock", "advance", "90s", "--json").json["offset_seconds"] == 5490
    assert billing("clock", "show", "--json").json["sandbox_offset_seconds"] == 5490


@pytest.mark.usefixtures("at_the_stack")
def test_a_sandbox_that_was_left_behind_is_named_and_brought_along(billing: Billing, stack: Stack) -> None:
    """Its news would be refused for ever, by a door that takes them for forged."""
    billing("clock", "advance", "2h")
    stack.control.post("/clock", json={"reset": True}).raise_for_status()
    assert "the sandbox is 0s ahead; `billing clock advance 0s` brings both together" in billing("clock", "show").out
    assert billing("clock", "advance", "0s", "--json").json["sandbox_offset_seconds"] == 7200


@pytest.mark.usefixtures("at_the_stack")
def test_time_waits_for_workers_that_are_away_and_says_so(
    billing: Billing, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not worked off on its day would happen on another one, and nobody could tell why."""
    monkeypatch.setattr(command, "PATIENCE_SECONDS", 0.2)
    stack.processes["payments"].kill()
    try:
        stack.buy("waits@example.com")
        complaint = billing("clock", "advance", "1d").complaint
        assert "goes no further: workers have had something to do (1 purchase) for" in complaint
        assert Offset(clock.path_of(stack.settings)).seconds == 0
    finally:
        stack.start("payments")


@pytest.mark.usefixtures("at_the_stack")
def test_two_commands_do_not_move_it_at_once(billing: Billing, stack: Stack) -> None:
    billing("clock", "advance", "0s")
    with clock.path_of(stack.settings).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another `billing clock` is moving the clock" in billing("clock", "advance", "1d").complaint
        assert billing("clock", "show").status == 0


@pytest.mark.parametrize("span", ["", "40", "d", "1.5d", "12h1d", "1d 12h", "-5d", "40 days", "٤d", "9999999999d"])
def test_what_is_no_span_of_time_is_wrong_usage(billing: Billing, span: str) -> None:
    said = billing("clock", "advance", span)
    assert (said.status, said.out) == (2, "")
    assert "clock advance [OPTIONS]" in said.err


def test_nobody_goes_further_than_five_years(billing: Billing, variables: dict[str, str]) -> None:
    Offset(Path(variables["STATE_DIR"]) / clock.FILE).move_to(5 * 365 * 86_400)
    said = billing("clock", "advance", "2d")
    assert (said.status, said.out) == (2, "")
    assert "1826 days ahead at most" in said.err


@pytest.mark.parametrize("words", [("advance", "40d"), ("reset",), ("show",)])
def test_where_real_payments_are_made_there_is_no_clock_to_move(
    billing: Billing, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    variables |= {"STRIPE_SECRET_KEY": "sk_test_somebody"}
    assert billing("clock", *words).complaint.startswith("STRIPE_SECRET_KEY: this works at the sandbox only")
    assert not (Path(variables["STATE_DIR"]) / clock.FILE).exists()


@pytest.mark.parametrize("words", [("advance", "40d"), ("reset",), ("show",)])
def test_out_of_development_not_even_beside_a_sandbox(
    billing: Billing, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    variables |= {"APP_ENV": "staging"}
    assert billing("clock", *words).complaint == "APP_ENV: the clock is moved in development only; unset it"
    assert not (Path(variables["STATE_DIR"]) / clock.FILE).exists()


def test_without_a_sandbox_that_answers_nothing_moves(billing: Billing, variables: dict[str, str]) -> None:
    """Half a move is worse than none."""
    assert "start it with `make run`" in billing("clock", "advance", "1d").complaint
    assert Offset(Path(variables["STATE_DIR"]) / clock.FILE).seconds == 0


def test_without_a_state_folder_the_mend_is_named(billing: Billing, variables: dict[str, str]) -> None:
    variables |= {"STATE_DIR": f"{variables['STATE_DIR']}/absent"}
    assert "No such file or directory; start everything with `make run`" in billing("clock", "show").complaint


@pytest.mark.parametrize(
    ("after", "night"),
    [
        ("2026-03-02T12:00", "2026-03-03T02:30"),
        ("2026-03-03T02:29", "2026-03-03T02:30"),
        ("2026-03-03T02:30", "2026-03-04T02:30"),
        ("2026-03-28T12:00", "2026-03-29T01:30"),  # summer time begins in the night
        ("2026-10-24T01:30", "2026-10-25T02:30"),  # and ends: that day has 25 hours
    ],
)
def test_a_step_ends_at_half_past_two_of_a_business_day(after: str, night: str) -> None:
    found = next_night(datetime.fromisoformat(f"{after}+00:00"), LISBON)
    assert found == datetime.fromisoformat(f"{night}+00:00")
