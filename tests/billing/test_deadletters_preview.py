"""A dry run shows what a replay would write, and writes nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import Session

from billing import ledger
from billing.cli.reading import ask_at
from billing.config import Settings
from billing.db import Begin
from billing.deadletters import preview as previewing
from billing.deadletters.names import LetterName
from billing.deadletters.preview import Preview, Terms, preview
from billing.deadletters.reopen import Result, UnreadableError
from billing.deployment import Deployment
from billing.errors import NotFoundError
from billing.purchases.news import Context
from billing.secrets import Vault
from billing.states import Outcome, PurchaseState
from billing.webhooks.events import StripeEvent
from billing.webhooks.handlers import handle
from tests.support.deadletters import EACH_KIND, Graveyard
from tests.support.factories import add_event, add_purchase, add_student, event_body, intent_body
from tests.support.records import bought

TABLES = (
    "purchase", "webhook_event", "hour_entry", "hour_lot", "student_balance", "staff_case", "stale_mark", "refund",
    "staff_act", "consumption_act", "receipt", "notification", "stripe_call", "purchase_transition", "account_act",
)  # fmt: skip


@pytest.fixture
def yard(begin: Begin, database_url: str, deployment: Deployment, vault: Vault, settings: Settings) -> Graveyard:
    now = datetime.now(UTC).replace(microsecond=0)
    return Graveyard(begin, database_url, deployment, vault, settings, now)


def look_ahead(yard: Graveyard, name: LetterName) -> Preview:
    terms = Terms(yard.deployment.livemode, yard.deployment.zone, yard.now)
    return ask_at(yard.url, lambda connection: preview(connection, name, terms))


def everything(yard: Graveyard) -> Mapping[str, Any]:
    rows = "SELECT coalesce(jsonb_agg(to_jsonb(row) ORDER BY to_jsonb(row)::text), '[]') FROM {} AS row"
    return {table: yard.scalar(rows.format(table)) for table in TABLES}


def test_an_event_shows_its_effect_on_the_ledger(yard: Graveyard) -> None:
    owner = add_student(yard.begin, at=yard.now)
    sold = add_purchase(yard.begin, at=yard.now, state=PurchaseState.PENDING, student_id=owner)
    dead = yard.event(sold)
    before = everything(yard)
    found = look_ahead(yard, dead.name)
    assert (found.result, found.outcome, found.error) == (Result.REOPENED, Outcome.APPLIED, None)
    assert found.says == "applied: 1 purchase, 1 entry, 1 lot"
    (moved,), (entry,), (lot,) = (found.effects[what] for what in ("purchases", "entries", "lots"))
    assert (moved["state_before"], moved["state"], moved["id"]) == ("pending", "completed", str(sold.id))
    assert (entry["kind"], entry["minutes"], entry["student_id"]) == ("credit", 600, owner)
    assert (lot["origin"], lot["minutes"], lot["student_id"]) == ("purchase", 600, owner)
    assert everything(yard) == before
    yard.reopen(dead.name)
    dead.work()
    assert [(row[0], row[1], row[2]) for row in yard.room.entries()] == [("credit", 600, entry["source"])]


def test_a_case_that_would_be_opened_is_shown(yard: Graveyard) -> None:
    owner = add_student(yard.begin, at=yard.now)
    sold = add_purchase(yard.begin, at=yard.now, state=PurchaseState.PENDING, student_id=owner)
    intent = intent_body(sold, yard.deployment, amount_received=1)
    event_id = add_event(yard.begin, event_body("payment_intent.succeeded", intent, at=yard.now), at=yard.now)
    found = look_ahead(yard, yard.die(LetterName("webhook_event", str(event_id))))
    assert found.outcome is Outcome.DIFFERENCE
    assert (len(found.effects["cases"]), found.effects["entries"]) == (1, [])
    assert yard.scalar("SELECT count(*) FROM staff_case") == 0


def test_what_stripe_would_be_asked_is_shown(yard: Graveyard) -> None:
    sold = yard.returns.sold()
    body = event_body("refund.updated", {"id": "re_1", "payment_intent": sold.payment_intent_id}, at=yard.now)
    name = yard.die(LetterName("webhook_event", str(add_event(yard.begin, body, at=yard.now))))
    found = look_ahead(yard, name)
    assert found.effects["asked_of_stripe"] == [{"subject": "refunds", "object_id": sold.payment_intent_id}]
    assert yard.scalar("SELECT count(*) FROM stale_mark") == 0


def test_a_handler_that_would_break_again_says_how(yard: Graveyard, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody replays a thousand of them to find out."""
    dead = yard.event()

    def broken(*_: object) -> Outcome:
        raise ValueError("nothing fits")

    monkeypatch.setattr(previewing, "handle", broken)
    before = everything(yard)
    found = look_ahead(yard, dead.name)
    assert (found.error, found.outcome) == ("ValueError: nothing fits", None)
    assert "would break" in found.says
    assert everything(yard) == before


def test_what_others_write_meanwhile_is_not_shown(yard: Graveyard, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = yard.event()
    other = add_student(yard.begin, "other@example.com", at=yard.now)

    def slow(session: Session, event: StripeEvent | None, context: Context) -> Outcome:
        bought(yard.begin, other, at=yard.now)
        return handle(session, event, context)

    monkeypatch.setattr(previewing, "handle", slow)
    found = look_ahead(yard, dead.name)
    assert other not in {entry["student_id"] for entry in found.effects["entries"]}
    assert (len(found.effects["entries"]), len(found.effects["lots"])) == (1, 1)


def test_an_event_that_was_applied_would_change_nothing(yard: Graveyard) -> None:
    dead = yard.event()
    yard.reopen(dead.name)
    waiting = look_ahead(yard, dead.name)
    dead.work()
    applied = look_ahead(yard, dead.name)
    assert (waiting.result, applied.result) == (Result.WAITING, Result.ALREADY)
    assert applied.says == "there is nothing left to do (applied): a replay would change nothing"
    assert (waiting.effects, applied.effects) == ({}, {})


SAID = {
    "purchase": "Stripe would be asked whether it has the intent",
    "payment_watch": "Stripe would be asked about pi_",
    "student_link": "what guests bought for the address of account-1",
    "consumption_act": "book of 60 minutes of 1 student",
    "staff_act": "grant of student:",
    "sweep_run": "what expired by",
    "notification": "by mail, if that is still true",
    "refund": "Stripe would be asked to give back 126.00 of pi_",
    "stale_mark": "Stripe would be asked what is true of refunds pi_",
    "receipt": "the receipt of transaction 1",
    "account_act": "Stripe would be asked to cancel",
    "export": "the export of the list student would go on; 0 rows",
}


@pytest.mark.parametrize("kind", [kind for kind in EACH_KIND if kind != "webhook_event"])
def test_of_other_kinds_it_is_said_what_would_be_asked(yard: Graveyard, kind: str) -> None:
    """Nothing is asked of Stripe for it, and no row changes."""
    dead = EACH_KIND[kind](yard)
    before, calls = everything(yard), len(yard.returns.gateway.creates)
    found = look_ahead(yard, dead.name)
    assert found.result is Result.REOPENED
    assert SAID[kind] in found.says
    assert (everything(yard), len(yard.returns.gateway.creates)) == (before, calls)
    assert ledger.violations(yard.begin) == []


def test_what_cannot_be_replayed_cannot_be_tried(yard: Graveyard) -> None:
    with pytest.raises(UnreadableError):
        look_ahead(yard, yard.message())
    with pytest.raises(NotFoundError):
        look_ahead(yard, LetterName("webhook_event", "999"))
