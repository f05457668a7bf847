"""Anybody can see what an event does, and what it does when it comes twice, late or out of order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import Billing
from tests.support.database import TEMPLATE
from tests.support.environment import environment
from tests.support.factories import add_purchase
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import Stack, eventually, running_stack


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    postgres.create_database("trigger", template=TEMPLATE)
    folder: Path = tmp_path_factory.mktemp("trigger")
    with running_stack(postgres, valkey, folder, DATABASE_URL=postgres.url("trigger")) as running:
        yield running


@pytest.fixture
def variables(stack: Stack) -> dict[str, str]:
    settings = stack.settings
    more = {"STRIPE_API_BASE": stack.sandbox_url, "STATE_DIR": str(settings.state_dir), "PORT": str(settings.port)}
    return environment(settings.database_url, settings.redis_url, **more)


def pending(stack: Stack, email: str) -> dict[str, Any]:
    accepted = stack.buy(email)
    stack.wait_for(accepted, "pending")
    return accepted


@pytest.mark.parametrize(
    ("event_type", "state"),
    [
        ("payment_intent.succeeded", "completed"),
        ("payment_intent.payment_failed", "failed"),
        ("payment_intent.canceled", "cancelled"),
        ("payment_intent.processing", "processing"),
    ],
)
def test_an_event_happens_and_has_its_effect(billing: Billing, stack: Stack, event_type: str, state: str) -> None:
    accepted = pending(stack, f"{state}@example.com")
    (sent,) = billing("trigger", event_type, "--purchase", accepted["task_id"], "--json").json
    assert (sent["type"], sent["is_new"], sent["statuses"]) == (event_type, True, [])
    stack.wait_for(accepted, state)


def test_a_repeated_event_credits_once(billing: Billing, stack: Stack) -> None:
    email, kind = "twice@example.com", "payment_intent.succeeded"
    accepted = pending(stack, email)
    number = str(stack.status(accepted)["transaction_id"])
    (first,) = billing("trigger", kind, "--purchase", number, "--twice", "--json").json
    (again,) = billing("trigger", kind, "--purchase", number, "--times", "5", "--json").json
    assert (first["is_new"], first["statuses"]) == (True, [200])
    assert (again["is_new"], again["statuses"], again["id"]) == (False, [200] * 5, first["id"])
    stack.wait_for(accepted, "completed")
    assert stack.hours(email, "twice") == "10.00"


def test_events_can_come_in_reverse(billing: Billing, stack: Stack) -> None:
    """What came first is the newest; the older ones change nothing any more."""
    email = "reverse@example.com"
    accepted = pending(stack, email)
    billing("trigger", "payment_intent.payment_failed", "--purchase", accepted["task_id"])
    words = ("trigger", "payment_intent.succeeded", "--purchase", accepted["task_id"], "--reorder", "--twice", "--json")
    sent = billing(*words).json
    types = [one["type"] for one in sent]
    assert types[0] == "payment_intent.succeeded"
    assert types[-1] == "payment_intent.created"
    assert {tuple(one["statuses"]) for one in sent} == {(200, 200)}
    stack.wait_for(accepted, "completed")
    assert stack.hours(email, "reverse") == "10.00"
    assert stack.control.get("/delivery").json()["paused"] is False
    eventually(lambda: stack.control.get("/deliveries").json()["pending"] == 0, 20)


def test_what_cannot_happen_any_more_is_one_line(billing: Billing, stack: Stack) -> None:
    accepted = pending(stack, "over@example.com")
    billing("trigger", "payment_intent.canceled", "--purchase", accepted["task_id"])
    told = billing("trigger", "payment_intent.succeeded", "--purchase", accepted["task_id"]).complaint
    assert told.startswith("the sandbox refuses: ")
    made = billing("trigger", "payment_intent.created", "--purchase", accepted["task_id"])
    assert "happened before; delivered 1 times: 200" in made.out


def test_money_can_go_back(billing: Billing, stack: Stack) -> None:
    """A refund, a dispute and a warning need neither a dashboard nor a bank."""
    accepted = pending(stack, "back@example.com")

    def happened(event_type: str, *words: str) -> dict[str, Any]:
        """What was sent: the event is new, and the door has taken it once more."""
        (sent,) = billing("trigger", event_type, "--purchase", accepted["task_id"], "--twice", "--json", *words).json
        assert (sent["type"], sent["is_new"], sent["statuses"]) == (event_type, True, [200])
        return dict(sent)

    happened("payment_intent.succeeded")
    happened("radar.early_fraud_warning.created")
    part = happened("refund.created", "--amount", "1000")
    assert happened("refund.created", "--amount", "1000")["id"] != part["id"]
    happened("refund.failed")
    happened("charge.dispute.created")
    lost = happened("charge.dispute.closed")
    won = happened("charge.dispute.closed", "--outcome", "won")
    (again,) = billing("trigger", "charge.dispute.closed", "--purchase", accepted["task_id"], "--json").json
    assert (again["id"], again["is_new"]) == (won["id"], False)
    assert lost["id"] != won["id"]
    told = billing("trigger", "refund.created", "--purchase", accepted["task_id"], "--amount", "14000").complaint
    assert told.startswith("the sandbox refuses: ")
    assert "has been charged back" in told


def test_a_purchase_that_is_not_there_or_not_ready_is_one_line(
    billing: Billing, stack: Stack, variables: dict[str, str]
) -> None:
    for unknown in ("999999", "rubbish", "00000000-0000-0000-0000-000000000000"):
        told = billing("trigger", "payment_intent.succeeded", "--purchase", unknown).complaint
        assert told == f"no purchase has the task id or transaction id {unknown}"
    at = stack.scalar("SELECT now()")
    queued = add_purchase(stack.begin, at=at, due_at=at.replace(year=2099), hint_at=at.replace(year=2099))
    told = billing("trigger", "payment_intent.succeeded", "--purchase", str(queued.id)).complaint
    assert "is queued; a worker makes its payment intent in a moment" in told
    variables["STRIPE_API_BASE"] = "http://127.0.0.1:1"
    number = str(stack.status(pending(stack, "away@example.com"))["transaction_id"])
    assert "start it with `make run`" in billing("trigger", "payment_intent.succeeded", "--purchase", number).complaint


def test_wrong_usage_is_exit_2(billing: Billing) -> None:
    assert billing("trigger", "invoice.paid", "--purchase", "1").status == 2
    assert billing("trigger", "payment_intent.succeeded").status == 2
    assert billing("trigger", "payment_intent.succeeded", "--purchase", "1", "--times", "0").status == 2
    assert billing("trigger", "payment_intent.succeeded", "--purchase", "1", "--amount", "100").status == 2
    assert billing("trigger", "charge.dispute.created", "--purchase", "1", "--outcome", "won").status == 2


def test_outside_the_sandbox_it_is_refused_in_one_line(billing: Billing, variables: dict[str, str]) -> None:
    """Nothing here may ever touch a real account."""
    variables |= {"STRIPE_SECRET_KEY": "sk_test_mine", "STRIPE_PUBLISHABLE_KEY": "pk_test_mine"}
    told = billing("trigger", "payment_intent.succeeded", "--purchase", "1").complaint
    assert told == "STRIPE_SECRET_KEY: this works at the sandbox only; unset it to have one"


def test_the_doctor_is_content_with_a_running_pipeline(billing: Billing, stack: Stack) -> None:
    pending(stack, "doctor@example.com")
    said = billing("doctor", "--json")
    doubts = {finding["subject"] for finding in said.json["findings"] if finding["health"] != "ok"}
    assert (said.status, doubts - {"durability"}) == (0, set())
    assert f"the door answers at 127.0.0.1:{stack.port}" in said.out
