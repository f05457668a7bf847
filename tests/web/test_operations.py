"""What staff read of the service itself: true figures of now, and a day that is counted from the rows."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing import db, ledger
from billing.brakes import Limits, SharedBrakes
from billing.brakes.lanes import Lane
from billing.brakes.words import Asked, Outcome
from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.ids import new_id
from billing.models import BeatSlot, PurchaseTransition
from billing.reads.operations import JOBS
from billing.states import PurchaseState, Step
from billing.ticks import TICKS
from tests.support.factories import add_event, add_purchase, add_student, event_body
from tests.support.records import bought, credited
from tests.support.servers import running_valkey
from tests.support.statements import counted
from tests.web.admin import Desk
from tests.web.openapi import documented
from tests.web.openapi.documented import operations, twin
from tests.web.reading import written
from tests.web.support import API, Tokens
from web.admin.sessions import COOKIE
from web.app import create_app

SYSTEM, FOR_PAGE = f"{API}admin/system/", "/admin/system/"
AUDIT = "billing.ledger.audit"
Get = Callable[[str], dict[str, Any]]


@pytest.fixture
def get(client: TestClient, tokens: Tokens) -> Get:
    def read(name: str) -> dict[str, Any]:
        answer = client.get(f"{SYSTEM}{name}/", headers=tokens.of("bo", roles=["staff"]))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return read


def job(body: dict[str, Any], name: str = AUDIT) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in body["schedule"] if one["name"] == name)
    return found


def test_a_service_at_rest_is_shown_whole(get: Get) -> None:
    """A page that leaves out what is nothing makes its reader look for it."""
    body = get("health")
    assert {kind["overdue_seconds"] for kind in body["work"]} == {0, None}
    assert {kind["dead_letters"] for kind in body["work"]} == {0}
    assert body["purchases"] == dict.fromkeys(PurchaseState, 0)
    assert {one["name"] for one in body["schedule"]} == JOBS.keys()
    assert (body["audit"], body["workers"], body["cases"]) == (None, [], {})
    assert body["events"] == {"by_outcome": [], "lag_seconds": {"p50": None, "p95": None}}
    assert body["stripe"]["is_paused"] is False
    assert (body["tonight"]["lots"], body["tonight"]["hours"]) == (0, "0.00")


def test_work_in_hand_and_work_that_waits_are_told_apart(get: Get, begin: Begin) -> None:
    """A queue that is worked slowly, and one that nobody works, want different people."""
    for _ in range(2):
        add_purchase(begin, at=utc_now())
    leased = "UPDATE purchase SET lease_token = id, lease_until = clock_timestamp() + interval '8 s'"
    with begin() as session:
        session.execute(text(f"{leased} WHERE transaction_id = 1"))
        session.execute(text("UPDATE purchase SET due_at = clock_timestamp() - interval '90 s'"))
    kind = next(one for one in get("health")["work"] if one["kind"] == "purchase")
    assert kind.pop("overdue_seconds") == pytest.approx(90, abs=10)
    assert kind == {"kind": "purchase", "open": 2, "in_hand": 1, "dead_letters": 0}


def test_a_worker_is_seen_while_it_looks_for_work(get: Get, database_url: str) -> None:
    """One whose process stands still is not heard of any more, though its connection is there."""
    engine = db.connect(database_url, "sweeper payments@here")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        (worker,) = get("health")["workers"]
        assert worker["name"] == "payments@here"
        assert 0 <= worker["seen_seconds"] < 5
    engine.dispose()
    assert get("health")["workers"] == []


def test_events_are_counted_for_the_hour_and_the_day(get: Get, begin: Begin) -> None:
    now = utc_now()
    for hours in (0.1, 5, 30):
        add_event(begin, event_body("any", {}, at=now), at=now - timedelta(hours=hours))
    events = get("health")["events"]
    assert events["by_outcome"] == [{"state": "received", "outcome": None, "last_hour": 1, "last_day": 2}]


@pytest.mark.parametrize(("missed", "is_late"), [(0, False), (2, True)])
def test_a_job_that_missed_its_ticks_is_late(get: Get, begin: Begin, missed: int, is_late: bool) -> None:
    """And one that waits for its next tick is not."""
    at = JOBS[AUDIT].following(datetime.now(UTC), ZoneInfo("UTC")) - (missed + 1) * JOBS[AUDIT].every
    with begin() as session:
        session.add(BeatSlot(entry=AUDIT, slot=at))
    shown = job(get("health"))
    assert (shown["last_at"], shown["every_seconds"], shown["is_late"]) == (written(at), 900, is_late)


def test_the_next_tick_is_told_in_time_of_the_business(get: Get, settings: Settings) -> None:
    """Half past two in Lisbon is another instant in summer."""
    for kind, ticks in TICKS.items():
        due = datetime.fromisoformat(job(get("health"), kind.task)["next_at"])
        assert timedelta() < due - datetime.now(UTC) <= ticks.every + timedelta(hours=1)
    night = datetime.fromisoformat(job(get("health"), "billing.expiry.start_nightly")["next_at"])
    assert f"{night.astimezone(settings.zone):%H:%M}" == "02:30"


def test_tonight_is_what_the_night_would_take(get: Get, begin: Begin, settings: Settings) -> None:
    """Of what expires up to the night less its grace, and what is left of it."""
    ana, now = add_student(begin, at=utc_now()), utc_now()
    until = datetime.fromisoformat(get("health")["tonight"]["cutoff"])
    for number, at in enumerate((until, until + timedelta(seconds=1), now - timedelta(days=9))):
        credited(begin, ana, at=now, expires_at=at, minutes=100, source=f"grant:{number}")
    tonight = get("health")["tonight"]
    night = datetime.fromisoformat(tonight["at"])
    assert night - until == timedelta(hours=settings.expiry_grace_hours)
    assert (tonight["students"], tonight["lots"], tonight["minutes"], tonight["hours"]) == (1, 2, 200, "3.33")


def test_the_last_proof_is_shown(get: Get, begin: Begin) -> None:
    bought(begin, add_student(begin, at=utc_now()), at=utc_now())
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 0"))
    ledger.prove(begin, now=utc_now())
    audit = get("health")["audit"]
    assert utc_now() - datetime.fromisoformat(audit.pop("at")) < timedelta(minutes=1)
    assert audit == {"students": 1, "violations": 1}


def test_a_pause_of_calls_to_stripe_says_why(get: Get, settings: Settings) -> None:
    shared = SharedBrakes(settings.redis_url, Limits.of(settings))
    verdict = shared.ask(Asked("create", Lane.PURCHASE, 0, is_first=True))
    shared.tell(verdict, Outcome.REFUSED)
    stripe = get("health")["stripe"]
    assert stripe["is_paused"]
    assert stripe["paused_seconds"] > 0
    assert stripe["reason"]


def test_without_valkey_the_rest_is_told_all_the_same(settings: Settings, tokens: Tokens) -> None:
    """When something is down is when somebody looks."""
    with running_valkey() as server:
        alone = settings.model_copy(update={"redis_url": server.url(), "broker_url": server.url()})
        with TestClient(create_app(alone)) as client:
            server.kill()
            answer = client.get(f"{SYSTEM}health/", headers=tokens.of("bo", roles=["staff"]))
            documented.check(answer)
    assert (answer.status_code, answer.json()["stripe"]) == (200, None)


def test_the_day_is_counted_in_quarters(get: Get, begin: Begin) -> None:
    now, ana = utc_now(), add_student(begin, at=utc_now())
    quarter = now - (now - datetime.min.replace(tzinfo=UTC)) % timedelta(minutes=15)
    for at in (quarter, quarter - timedelta(seconds=1), quarter - timedelta(hours=23, minutes=46)):
        bought(begin, ana, at=at)
        add_event(begin, event_body("any", {}, at=at), at=at)
    credited(begin, ana, at=quarter, expires_at=None, minutes=30)
    declined = add_purchase(begin, at=quarter, state=PurchaseState.FAILED)
    with begin() as session:
        for step in (Step.PAYMENT_FAILED, Step.PAYMENT_FAILED, Step.CANCELLED):
            state = PurchaseState.FAILED
            session.add(PurchaseTransition(purchase_id=declined.id, step=step, state=state, cause="any", at=quarter))
        settled = "UPDATE webhook_event SET due_at = NULL, hint_at = NULL, state = 'ignored', outcome = 'unhandled'"
        session.execute(text(f"{settled}, processed_at = received_at + interval '2 s' WHERE id = 2"))
    quarters = get("history")["quarters"]
    assert [one["at"] for one in quarters] == [written(quarter - n * timedelta(minutes=15)) for n in range(95, -1, -1)]
    figures = [[*one.values()][1:] for one in quarters if any(list(one.values())[1:])]
    assert figures == [[1, 1, 0, 1, 2.0, 600], [2, 1, 2, 1, None, 630]]


def test_each_answer_costs_a_statement_or_two(get: Get) -> None:
    """A page asks every five seconds, and there may be many of them."""
    get("health")
    for name, most in (("health", 2), ("history", 1)):
        with counted() as statements:
            get(name)
        assert len(statements) == most


@pytest.fixture
def desk(settings: Settings, tokens: Tokens) -> Iterator[Desk]:
    """A browser of somebody on staff; what it asks for is not in the API's document."""
    with TestClient(create_app(settings), client=("192.0.2.7", 4711)) as client:
        yield Desk(client, tokens)


@pytest.mark.parametrize("name", ["health", "history"])
def test_whoever_has_signed_in_to_the_admin_needs_no_token(desk: Desk, tokens: Tokens, name: str) -> None:
    """At the addresses of the page; with a token they are as those of the API."""
    path = f"{FOR_PAGE}{name}/"
    refused = desk.client.get(path)
    assert (refused.status_code, refused.json()["error_type"]) == (401, "authentication_required")
    by_token = desk.client.get(path, headers=tokens.of("bo", roles=["staff"]))
    desk.sign_in("staff")
    by_session = desk.client.get(path)
    assert (by_token.status_code, by_session.status_code) == (200, 200)
    assert by_token.json().keys() == by_session.json().keys()
    assert by_session.headers["cache-control"] == "no-store"
    desk.post("logout", {}, page="")
    assert desk.client.get(path).status_code == 401


def test_a_token_counts_before_a_session(desk: Desk, tokens: Tokens) -> None:
    """Who sends one wants to be known by it."""
    desk.sign_in("admin")
    for headers, status in (({"Authorization": "Bearer none"}, 401), (tokens.of("ana", roles=["student"]), 403)):
        assert desk.client.get(f"{FOR_PAGE}health/", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("same-site", 401), ("cross-site", 401)]
)
def test_a_session_is_believed_for_pages_of_ours_alone(desk: Desk, site: str, status: int) -> None:
    """A page of a neighbour under the same domain gets the cookie sent along, and is no page of ours."""
    desk.sign_in("staff")
    assert desk.client.get(f"{FOR_PAGE}health/", headers={"Sec-Fetch-Site": site}).status_code == status


def test_a_session_opens_nothing_else(desk: Desk) -> None:
    """Neither another method at these addresses, nor any route of the API, wherever the cookie comes along."""
    desk.sign_in("admin")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert desk.client.request(method, f"{FOR_PAGE}health/", json={}).status_code == 405
    cookie = {"Cookie": f"{COOKIE}={desk.client.cookies[COOKIE]}"}
    assert desk.client.get(f"{FOR_PAGE}health/", headers=cookie).status_code == 200
    needing = [(method, path) for method, path, operation in operations() if operation["security"] == [{"bearer": []}]]
    assert len(needing) > 40
    for method, path in needing:
        found = re.sub(r"\{[^}]*\}", f"{new_id()}", path)
        for address in (found, twin(found)):
            answer = desk.client.request(method, address, headers=cookie, json={} if method != "GET" else None)
            assert (method, address, answer.status_code) == (method, address, 401)


def test_the_page_runs_its_own_scripts_alone(client: TestClient) -> None:
    """What it shows is asked for with the token of staff."""
    page = client.get("/operations/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["page.css", "page.js", "view.js", "attention.js", "charts.js", "words.js"])
def test_a_part_of_the_page_is_sent_once(client: TestClient, name: str) -> None:
    part = client.get(f"/operations/{name}")
    assert part.status_code == 200
    again = client.get(f"/operations/{name}", headers={"If-None-Match": part.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["page.html", "..%2Fpage.py", "__init__.py", "%00"])
def test_nothing_else_is_sent(client: TestClient, name: str) -> None:
    """Not the frame without its policy, and no file that is none of the page."""
    assert client.get(f"/operations/{name}").status_code == 404
