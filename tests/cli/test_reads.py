"""Plans, events and what gave up, as commands show them."""

from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cli.database import PATIENCE, connected
from billing.cli.reading import ask_at
from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.failures import UnreadableFacts, record_unreadable
from billing.states import PurchaseState
from tests.cli.support import Billing
from tests.support.factories import add_event, add_purchase, event_body, intent_body


def test_a_command_waits_longer_than_a_worker_or_the_door(settings: Settings) -> None:
    """Nobody waits behind it, and whoever typed it would only type it again."""
    with connected(settings) as begin, begin() as session:
        assert {name: session.scalar(text(f"SHOW {name}")) for name in PATIENCE} == PATIENCE

    async def bound(connection: AsyncConnection) -> str:
        return str(await connection.scalar(text("SHOW statement_timeout")))

    assert ask_at(settings.database_url, bound) == PATIENCE["statement_timeout"]


def test_plans_are_listed_in_their_order(billing: Billing) -> None:
    plans = billing("plans", "list", "--json").json
    assert [plan["id"] for plan in plans] == [1, 2, 3, 4, 5, 6, 7]
    assert (plans[1]["price_eur"], plans[1]["hours_included"], plans[4]["validity_days"]) == ("140.00", "10.00", None)
    standard = billing("plans", "list").out.splitlines()[1]
    assert standard.split() == ["2", "Standard", "Package", "10.00", "h", "140.00", "€", "45", "days", "featured"]


def test_nothing_on_sale_says_what_to_do(billing: Billing, begin: Begin) -> None:
    with begin() as session:
        session.execute(text("UPDATE pricing_plan SET is_active = false"))
    assert "billing plans load-defaults" in billing("plans", "list").out
    assert billing("plans", "list", "--json").json == []


@pytest.fixture
def event(begin: Begin, deployment: Deployment, now: datetime) -> str:
    purchase = add_purchase(begin, at=now, state=PurchaseState.PENDING, student_id=None)
    body = event_body(
        "payment_intent.succeeded",
        intent_body(purchase, deployment, client_secret="pi_1_secret_canary", receipt_email="ana@example.com"),
        at=now,
    )
    add_event(begin, body, at=now)
    add_event(begin, event_body("charge.updated", {"id": "ch_1", "object": "charge"}, at=now), at=now)
    return str(body["id"])


def test_events_are_listed_the_newest_first(billing: Billing, event: str) -> None:
    assert [one["id"] for one in billing("events", "list", "--json").json] == [2, 1]
    only = billing("events", "list", "--type", "payment_intent.succeeded", "--state", "received", "--json").json
    assert [one["stripe_event_id"] for one in only] == [event]
    assert len(billing("events", "list", "--limit", "1").out.splitlines()) == 1
    assert billing("events", "list", "--state", "parked").out == "no events\n"
    assert billing("events", "list", "--state", "nonsense").status == 2


def test_an_event_is_shown_with_its_body_and_without_its_secrets(billing: Billing, event: str) -> None:
    """What support looks at is copied into tickets."""
    for given in (event, "1"):
        shown = billing("events", "show", given, "--json")
        assert shown.json["stripe_event_id"] == event
        assert shown.json["body"]["type"] == "payment_intent.succeeded"
        for said in (shown.out, billing("events", "show", given).out):
            assert "canary" not in said
            assert "ana@example.com" not in said
    assert billing("events", "show", "evt_none").complaint.startswith("no event has the id evt_none")


def test_what_gave_up_is_listed_and_shown(billing: Billing, begin: Begin, event: str, now: datetime) -> None:
    assert billing("deadletters", "list").out == "nothing gave up\n"
    with begin() as session:
        session.execute(
            text("""
                UPDATE webhook_event SET state = 'dead', due_at = NULL, hint_at = NULL, gave_up_at = now(),
                    last_error = 'lost 6 times by the workers that had it', attempts = 6
                WHERE stripe_event_id = :event
            """),
            {"event": event},
        )
    unreadable = UnreadableFacts.of(queue="webhooks", task="nobody.knows", reason="no such task", body=b"canary")
    record_unreadable(begin, unreadable, now=now)
    found = {letter["id"]: letter for letter in billing("deadletters", "list", "--json").json}
    assert found["webhook_event:1"]["attempts"] == 6
    assert found["message:1"]["reason"] == "no such task"
    assert "lost 6 times" in billing("deadletters", "list", "--kind", "webhook_event").out
    row = billing("deadletters", "show", "webhook_event:1", "--json").json["row"]
    assert row["stripe_event_id"] == event
    assert "body" not in row
    assert "nobody.knows" in billing("deadletters", "show", "message:1").out


def test_what_did_not_give_up_is_one_line(billing: Billing) -> None:
    assert billing("deadletters", "show", "purchase:1").complaint.startswith("purchase:1 has not given up")
    assert billing("deadletters", "show", "student:1").status == 2
    assert billing("deadletters", "list", "--kind", "student").status == 2
