"""What an alarm looks at: true figures, for those who may see them, and nothing about anybody."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing import db, ledger
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.failures import UnreadableFacts, record_unreadable
from billing.ids import new_id
from billing.models import BeatSlot, Dispute, Purchase, ReconciliationRun, StaffCase
from billing.reads.operations import JOBS
from billing.reconciliation import cursor, findings
from billing.states import DisputeState, FindingKind, Outcome, PurchaseState, ReconciliationScope
from billing.work.kinds import OPEN_KINDS
from tests.support.factories import add_event, add_purchase, add_student, event_body
from tests.support.records import bought
from tests.support.statements import counted
from tests.web.support import Tokens
from web.app import create_app
from web.exposition import Gauge, Sample, exposed

LOOPBACK = ("127.0.0.1", 4711)
STRANGER = ("192.0.2.7", 4711)
SAMPLE = re.compile(r"([a-z_]+)((?:\{[a-z_]+=\"[^\"\\\n]*\"\})?) (-?[0-9][0-9.e+-]*)")
NOTHING = {kind.model.kind: 0.0 for kind in OPEN_KINDS}


def parsed(written: str) -> dict[str, float]:
    """Read as the format says; what does not fit it fails. Each family is announced before its first value."""
    assert written.endswith("\n")
    values: dict[str, float] = {}
    family = ""
    for line in written.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {family} gauge"
        else:
            found = SAMPLE.fullmatch(line)
            assert found is not None, line
            assert found[1] == family
            assert found[1] + found[2] not in values
            values[found[1] + found[2]] = float(found[3])
    return values


def by(values: Mapping[str, float], label: str, name: str) -> dict[str, float]:
    found = (re.fullmatch(rf'{name}{{{label}="(.*)"}}', sample) for sample in values)
    return {match[1]: values[match[0]] for match in found if match}


def by_kind(values: Mapping[str, float], name: str) -> dict[str, float]:
    return by(values, "kind", name)


def measured(settings: Settings) -> dict[str, float]:
    with TestClient(create_app(settings), client=LOOPBACK) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return parsed(answer.text)


def test_strangers_learn_nothing(client: TestClient, tokens: Tokens) -> None:
    """How much is bought and what goes wrong is nobody's business."""
    bare, forged = client.get("/metrics"), client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
    assert [answer.json()["error_type"] for answer in (bare, forged)] == ["authentication_required"] * 2
    assert [answer.status_code for answer in (bare, forged)] == [401, 401]
    for roles in (None, ["student"], ["admin", "staff"]):
        refused = client.get("/metrics", headers=tokens.of(roles=roles))
        assert (refused.status_code, refused.json()["error_type"]) == (403, "permission_denied")


def test_the_platform_learns_by_its_role(client: TestClient, tokens: Tokens) -> None:
    assert client.get("/metrics", headers=tokens.of(roles=["service"])).status_code == 200


def test_a_bad_token_is_refused_even_from_the_machine_itself(settings: Settings) -> None:
    with TestClient(create_app(settings), client=LOOPBACK) as client:
        assert client.get("/metrics", headers={"Authorization": "Bearer none"}).status_code == 401


def test_listed_networks_learn_without_a_token(settings: Settings) -> None:
    """Where Prometheus runs on another machine; the list replaces the loopback."""
    listed = Settings.model_validate({**settings.model_dump(), "metrics_allow": "192.0.2.0/24"})
    for address, status in ((STRANGER, 200), (LOOPBACK, 401)):
        with TestClient(create_app(listed), client=address) as client:
            assert client.get("/metrics").status_code == status


def test_a_service_at_rest_has_every_kind_at_zero(settings: Settings) -> None:
    """A series that appears with the first failure cannot be compared with anything; the ledger was never proven."""
    values = measured(settings)
    assert by_kind(values, "billing_open_work") == NOTHING
    assert by_kind(values, "billing_overdue_seconds") == NOTHING
    assert by_kind(values, "billing_dead_letters") == {**NOTHING, "message": 0}
    assert by_kind(values, "billing_open_findings") == dict.fromkeys(FindingKind, 0)
    assert values["billing_stripe_events_by_list"] == 0
    outcomes = {outcome.value for outcome in Outcome} | {"undecided"}
    assert by(values, "outcome", "billing_events_last_hour") == dict.fromkeys(outcomes, 0)
    assert by(values, "state", "billing_purchases_last_day") == dict.fromkeys(PurchaseState, 0)
    assert by(values, "task", "billing_scheduled_period_seconds").keys() == JOBS.keys()
    alone = ("billing_workers", "billing_open_cases", "billing_open_disputes", "billing_disputes_due")
    assert {values[name] for name in alone} == {0}
    ours = [name for name in values if not name.startswith("billing_stripe_")]
    kinds = 4 * len(OPEN_KINDS) + 1 + len(FindingKind) + len(Outcome) + 1 + len(PurchaseState) + len(JOBS)
    assert len(ours) == kinds + len(alone)


def test_work_that_waits_is_counted_by_kind(settings: Settings, begin: Begin) -> None:
    """Which queue has no worker is seen at once."""
    now = datetime.now(UTC)
    for _ in range(3):
        add_purchase(begin, at=now)
    add_event(begin, {"id": "evt_1", "type": "any"}, at=now)
    with begin() as session:
        session.execute(
            text("UPDATE purchase SET due_at = clock_timestamp() - interval '100 s' WHERE transaction_id = 2")
        )
        session.execute(text("UPDATE webhook_event SET due_at = clock_timestamp() + interval '1 h'"))
    values = measured(settings)
    assert by_kind(values, "billing_open_work") == {**NOTHING, "purchase": 3, "webhook_event": 1}
    overdue = by_kind(values, "billing_overdue_seconds")
    assert overdue.pop("purchase") == pytest.approx(100, abs=10)
    assert set(overdue.values()) == {0}


def test_what_gave_up_is_counted_by_kind(settings: Settings, begin: Begin) -> None:
    """One dead letter is one person who waits for another."""
    now = datetime.now(UTC)
    for _ in range(2):
        add_purchase(begin, at=now)
    with begin() as session:
        session.execute(text("UPDATE purchase SET due_at = NULL, hint_at = NULL, state = 'failed', gave_up_at = now()"))
    facts = UnreadableFacts.of(queue="money", task="any", reason="rubbish", body=b"x")
    record_unreadable(begin, facts, now=now)
    dead = by_kind(measured(settings), "billing_dead_letters")
    assert dead == {**NOTHING, "purchase": 2, "message": 1}


def test_the_last_proof_is_told_with_its_age(settings: Settings, begin: Begin) -> None:
    """A ledger that is broken rings; so does one at which nobody looks any more."""
    bought(begin, add_student(begin, at=utc_now()), at=utc_now())
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 0"))
    ledger.prove(begin, now=utc_now() - timedelta(hours=2))
    values = measured(settings)
    assert (values["billing_ledger_violations"], values["billing_ledger_audited_students"]) == (1, 1)
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 14000"))
    ledger.prove(begin, now=utc_now() - timedelta(hours=1))
    values = measured(settings)
    assert (values["billing_ledger_violations"], values["billing_ledger_audited_students"]) == (0, 1)
    assert values["billing_ledger_audit_age_seconds"] == pytest.approx(3600, abs=30)


def test_how_far_stripes_side_was_read_is_told(settings: Settings, begin: Begin) -> None:
    """A reconciliation that fails each minute, or that nobody runs, rings before anything is lost by it."""
    now = utc_now()
    runs = ((1, 3, None), (2, 4, "any"), (30 * 24, 90, None))
    with begin() as session:
        cursor.begin_at(session, now - timedelta(hours=5))
        for hours, recorded, error in runs:
            session.add(read_then(ReconciliationScope.EVENTS, now - timedelta(hours=hours), recorded, error))
        session.add(read_then(ReconciliationScope.LEDGER, now - timedelta(hours=7), 0, None))
    values = measured(settings)
    assert values["billing_stripe_events_cursor_age_seconds"] == pytest.approx(5 * 3600, abs=30)
    assert values['billing_reconciliation_age_seconds{scope="events"}'] == pytest.approx(3600, abs=30)
    assert values['billing_reconciliation_age_seconds{scope="ledger"}'] == pytest.approx(7 * 3600, abs=30)
    assert values["billing_stripe_events_by_list"] == 7


def read_then(scope: ReconciliationScope, at: datetime, recorded: int, error: str | None) -> ReconciliationRun:
    counts = {"seen": recorded, "recorded": recorded}
    return ReconciliationRun(scope=scope, since=at, until=at, started_at=at, finished_at=at, error=error, **counts)


def test_open_findings_are_counted_by_kind(settings: Settings, begin: Begin) -> None:
    """Until somebody has closed them."""
    for kind, source in ((FindingKind.AMOUNT, "pi_1"), (FindingKind.AMOUNT, "pi_2"), (FindingKind.UNPAID_HERE, "pi_3")):
        with begin() as session:
            findings.keep(session, [findings.Difference(kind, source, "any")], at=utc_now())
    with begin() as session:
        closed = "UPDATE finding SET state = 'closed', closed_at = now(), closed_by = 'boss', note = 'any'"
        session.execute(text(f"{closed} WHERE source = 'pi_2'"))
    counted_kinds = by_kind(measured(settings), "billing_open_findings")
    assert {kind for kind, number in counted_kinds.items() if number} == {"amount", "unpaid_here"}
    assert counted_kinds["amount"] == 1


def test_events_of_the_last_hour_are_counted_with_what_they_took(settings: Settings, begin: Begin) -> None:
    """An alarm of a slow hour ends with it, whatever comes in afterwards."""
    now = utc_now()
    for minutes in (1, 2, 3, 90):
        add_event(begin, event_body("any", {}, at=now), at=now - timedelta(minutes=minutes))
    settled = "UPDATE webhook_event SET due_at = NULL, hint_at = NULL, state = 'ignored', outcome = 'unhandled'"
    with begin() as session:
        session.execute(text(f"{settled}, processed_at = received_at + id * interval '10 s' WHERE id IN (1, 2, 4)"))
    values = measured(settings)
    outcomes = by(values, "outcome", "billing_events_last_hour")
    assert {outcome: number for outcome, number in outcomes.items() if number} == {"unhandled": 2, "undecided": 1}
    lags = by(values, "quantile", "billing_webhook_lag_seconds")
    assert lags == {"0.5": pytest.approx(15), "0.95": pytest.approx(19.5)}


def test_purchases_of_the_last_day_are_counted_by_state(settings: Settings, begin: Begin) -> None:
    """That none completes any more is seen, though nothing complains."""
    now, ana = utc_now(), add_student(begin, at=utc_now())
    add_purchase(begin, at=now)
    for hours, state in ((1, PurchaseState.PENDING), (23, PurchaseState.COMPLETED), (25, PurchaseState.COMPLETED)):
        add_purchase(begin, at=now - timedelta(hours=hours), state=state, student_id=ana)
    counts = by(measured(settings), "state", "billing_purchases_last_day")
    assert {state: number for state, number in counts.items() if number} == {"queued": 1, "pending": 1, "completed": 1}


def test_a_scheduler_that_is_gone_is_seen_by_the_age_of_its_ticks(settings: Settings, begin: Begin) -> None:
    """Nothing fails when beat dies: it is only that nothing happens any more."""
    job = "billing.ledger.audit"
    for minutes in (50, 20):
        with begin() as session:
            session.add(BeatSlot(entry=job, slot=utc_now() - timedelta(minutes=minutes)))
    values = measured(settings)
    assert by(values, "task", "billing_scheduled_age_seconds") == {job: pytest.approx(1200, abs=30)}
    assert by(values, "task", "billing_scheduled_period_seconds")[job] == 900


def test_what_waits_for_people_is_counted(settings: Settings, begin: Begin) -> None:
    now, ana = utc_now(), add_student(begin, at=utc_now())
    paid = [bought(begin, ana, at=now) for _ in range(3)]
    for days, purchase in zip((1, 2, 9), paid, strict=True):
        add_dispute(begin, purchase, at=now, due_at=now + timedelta(days=days))
    with begin() as session:
        session.add(StaffCase(reason="amount_differs", source="evt_1", detail="any", opened_at=now))
    values = measured(settings)
    assert values["billing_open_cases"] == 1
    assert (values["billing_open_disputes"], values["billing_disputes_due"]) == (3, 2)


def add_dispute(begin: Begin, purchase: Purchase, *, at: datetime, due_at: datetime) -> None:
    with begin() as session:
        session.add(
            Dispute(
                id=new_id(),
                stripe_dispute_id=f"dp_{new_id().hex}",
                purchase_id=purchase.id,
                amount_cents=100,
                currency="eur",
                reason="fraudulent",
                status="needs_response",
                state=DisputeState.OPEN,
                evidence_due_at=due_at,
                opened_at=at,
            )
        )


def test_workers_are_counted_while_they_look_for_work(settings: Settings, database_url: str) -> None:
    """Each has one session by which it does; a worker that is killed has none."""
    assert measured(settings)["billing_workers"] == 0
    engines = [db.connect(database_url, f"sweeper {name}@here") for name in ("payments", "hours")]
    with engines[0].connect(), engines[1].connect():
        assert measured(settings)["billing_workers"] == 2
    for engine in engines:
        engine.dispose()


def test_one_statement_answers(settings: Settings) -> None:
    """It is asked every fifteen seconds by every Prometheus there is."""
    with TestClient(create_app(settings), client=LOOPBACK) as client:
        client.get("/metrics")
        with counted() as statements:
            client.get("/metrics")
    assert len(statements) == 1


def test_a_database_that_is_away_is_told_and_not_waited_for(settings: Settings) -> None:
    """Prometheus then says itself that this target is down."""
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with TestClient(create_app(away), client=LOOPBACK) as client:
        answer = client.get("/metrics")
    assert (answer.status_code, answer.json()["error_type"]) == (503, "unavailable")


def test_no_figure_is_about_anybody(settings: Settings, begin: Begin) -> None:
    """Monitoring keeps what it is given for years, and shows it to everybody."""
    bought(begin, add_student(begin, "canary@example.com", at=utc_now(), external_id="canary"), at=utc_now())
    ledger.prove(begin, now=utc_now())
    with TestClient(create_app(settings), client=LOOPBACK) as client:
        assert "canary" not in client.get("/metrics").text


def test_words_are_escaped_as_the_format_says() -> None:
    """One quote in a label would make the whole answer unreadable."""
    odd = Gauge("a_name", 'a\\b\nc"', [Sample(1.5, {"label": 'a\\b\nc"'}), Sample(-2, {})])
    assert exposed([odd]) == (
        '# HELP a_name a\\\\b\\nc"\n# TYPE a_name gauge\na_name{label="a\\\\b\\nc\\""} 1.5\na_name -2\n'
    )
