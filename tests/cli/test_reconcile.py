"""`billing reconcile`: Stripe's side read by a command, and what differs told in words and statuses."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from billing.cli import desk
from billing.clock import utc_now
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import NoConnectionError
from billing.ids import installation_mark
from billing.models import Purchase
from billing.reconciliation import cursor, findings
from billing.reconciliation.findings import Difference
from billing.states import FindingKind, PurchaseState
from tests.cli.support import Billing
from tests.support.factories import STANDARD_MINUTES, add_purchase, add_student, event_body, intent_body, minutes_left
from tests.support.gateway import FakeGateway

HOUR = timedelta(hours=1)


@pytest.fixture
def gateway(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    """The payment service that the command speaks to."""
    gateway = FakeGateway(utc_now() - HOUR)
    monkeypatch.setattr(desk, "StripeGateway", lambda _settings: gateway)
    with begin() as session:
        cursor.begin_at(session, utc_now() - HOUR)
    return gateway


def sold(begin: Begin, deployment: Deployment, gateway: FakeGateway, **facts: Any) -> Purchase:
    """Paid half an hour ago, of which we never heard."""
    student = add_student(begin, at=utc_now())
    at = utc_now() - HOUR / 2
    purchase = add_purchase(begin, at=at, state=PurchaseState.PENDING, student_id=student)
    mark = installation_mark(deployment.installation, purchase.id)
    gateway.add_paid(purchase.payment_intent_id or "", purchase.price_cents, mark)
    gateway.change(purchase.payment_intent_id or "", **facts)
    gateway.happen(event_body("payment_intent.succeeded", intent_body(purchase, deployment), at=at))
    return purchase


def rows(begin: Begin, table: str) -> int:
    with begin() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def test_what_no_webhook_brought_is_read_in_its_own_process(
    billing: Billing, begin: Begin, deployment: Deployment, gateway: FakeGateway
) -> None:
    """No worker, no broker: after an outage one command is enough."""
    purchase = sold(begin, deployment, gateway)
    said = billing("reconcile")
    assert said.status == 0
    assert said.out.startswith("1 event since ")
    assert said.out.endswith("1 recorded, 0 adopted, 0 differ\n")
    assert minutes_left(begin, purchase.student_id or 0) == STANDARD_MINUTES
    assert ": 0 recorded" in billing("reconcile", "--since", "2h").out


def test_programs_read_what_was_done(
    billing: Billing, begin: Begin, deployment: Deployment, gateway: FakeGateway
) -> None:
    sold(begin, deployment, gateway)
    told = billing("reconcile", "--ledger", "--json").json
    assert (told["dry_run"], told["events"]["recorded"], told["events"]["found"]) == (False, 1, [])
    assert (told["ledger"]["seen"], told["ledger"]["found"]) == (1, [])


def test_a_difference_is_status_1(billing: Billing, begin: Begin, deployment: Deployment, gateway: FakeGateway) -> None:
    """A job that runs it rings, and whoever looks sees both sides."""
    purchase = sold(begin, deployment, gateway, amount_received_cents=13_000)
    said = billing("reconcile", "--ledger", "--since", "3h")
    assert said.status == 1
    assert "1 differ" in said.out
    line = next(line for line in said.out.splitlines() if "amount" in line)
    assert line.split()[:6] == ["amount", purchase.payment_intent_id, "here", "140.00", "there", "130.00"]
    told = billing("reconcile", "--ledger", "--json")
    assert (told.status, told.json["ledger"]["found"][0]["theirs_cents"]) == (1, 13_000)


def test_a_dry_run_says_what_it_would_do(
    billing: Billing, begin: Begin, deployment: Deployment, gateway: FakeGateway
) -> None:
    """And does nothing of it."""
    purchase = sold(begin, deployment, gateway, amount_received_cents=13_000)
    said = billing("reconcile", "--ledger", "--dry-run")
    assert said.status == 1
    assert "1 would be recorded" in said.out
    assert (rows(begin, "webhook_event"), rows(begin, "finding"), rows(begin, "reconciliation_run")) == (0, 0, 0)
    assert minutes_left(begin, purchase.student_id or 0) == 0


@pytest.mark.parametrize("words", [["--since", "31d"], ["--since", "soon"], ["--ledger", "--since", "31d"]])
def test_what_stripe_does_not_keep_is_wrong_usage(
    billing: Billing, begin: Begin, gateway: FakeGateway, words: list[str]
) -> None:
    """An answer that leaves half of what was asked for out would be taken for the whole."""
    said = billing("reconcile", *words)
    assert (said.status, rows(begin, "reconciliation_run")) == (2, 0)
    if "soon" not in words:
        assert "30 days" in said.err


def test_it_speaks_to_the_service_of_the_settings(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here to one that is not there."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)
    assert billing("reconcile").complaint == "The payment service cannot be reached; we go on trying."


def test_a_service_that_is_away_is_one_line(billing: Billing, gateway: FakeGateway) -> None:
    gateway.list_troubles = [NoConnectionError()]
    assert billing("reconcile").complaint == "The payment service cannot be reached; we go on trying."


def find(begin: Begin, source: str, kind: FindingKind = FindingKind.AMOUNT) -> None:
    difference = Difference(kind, source, "paid another amount", None, 14_000, 13_000)
    with begin() as session:
        findings.keep(session, [difference], at=utc_now() - HOUR)


def test_findings_are_listed_with_their_owner_and_when_they_were_seen(billing: Billing, begin: Begin) -> None:
    assert billing("reconcile", "findings").out == "nothing differs\n"
    find(begin, "pi_1")
    line = billing("reconcile", "findings").out
    for word in (
        "amount",
        "pi_1",
        "here 140.00",
        "there 130.00",
        "finance",
        "last seen",
        "open",
        "paid another amount",
    ):
        assert word in line
    (told,) = billing("reconcile", "findings", "--json").json
    assert (told["kind"], told["source"], told["ours_cents"], told["is_gone"]) == ("amount", "pi_1", 14_000, False)


def test_what_was_not_found_again_says_so(billing: Billing, begin: Begin, gateway: FakeGateway) -> None:
    """It stays open: only a person knows whether it mended itself or is merely older than what was looked at."""
    find(begin, "pi_1")
    assert "not since" not in billing("reconcile", "findings").out
    assert billing("reconcile", "--ledger").status == 0
    assert ", not since" in billing("reconcile", "findings").out


def test_closed_ones_are_listed_where_they_are_asked_for(billing: Billing, begin: Begin) -> None:
    """With who closed them, and why."""
    find(begin, "pi_1")
    find(begin, "re_1", FindingKind.REFUND_MISSING)
    with begin() as session:
        closed = "UPDATE finding SET state = 'closed', closed_at = now(), closed_by = 'boss', note = 'paid in cash'"
        session.execute(text(f"{closed} WHERE source = 'pi_1'"))
    assert [one["source"] for one in billing("reconcile", "findings", "--json").json] == ["re_1"]
    assert "closed by boss: paid in cash" in billing("reconcile", "findings", "--all").out
    one_kind = billing("reconcile", "findings", "--all", "--kind", "refund_missing", "--json").json
    assert [one["source"] for one in one_kind] == ["re_1"]
