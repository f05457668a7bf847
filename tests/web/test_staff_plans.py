"""People of the business change plans at the door: refused with its field, done by a worker, seen by every buyer."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
import redis
from httpx2 import Response
from sqlalchemy import text
from sqlmodel import col, select
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.messages import ActDecided
from billing.models import StaffAct
from tests.support.doors import running_doors
from tests.support.stack import eventually
from tests.support.staff import StaffRoom
from tests.web.following import soon
from tests.web.support import API, Tokens, buy, wish

PLANS, BULK, PRICES = f"{API}admin/plans/", f"{API}admin/plans/bulk/", f"{API}pricing-plans/"
STANDARD = f"{PLANS}2/"
REASON = "The prices of the new school year."
WITHIN_SECONDS = 2.0

SUMMER: dict[str, Any] = {
    "name": "Summer Package",
    "description": "Eight hours for the holidays.",
    "plan_type": "package",
    "hours_included": "8.00",
    "price_eur": "112.00",
    "validity_days": 60,
    "reason": REASON,
}
DETAILS = {
    "id",
    "name",
    "description",
    "plan_type",
    "hours_included",
    "price_eur",
    "validity_days",
    "price_per_hour",
}
BETTER = {"name": "Better Package", "price_eur": "150.00", "price_per_hour": "15.00"}
EDIT: dict[str, Any] = {"expected_version": 1, "price_eur": "150.00", "reason": REASON}
HIDDEN: dict[str, Any] = {"is_active": False, "reason": REASON}
SET: dict[str, Any] = {"plan_ids": [3, 4], "is_active": False, "reason": REASON}

Send = Callable[..., Response]
Get = Callable[[str], dict[str, Any]]

MEND = """
    SET LOCAL session_replication_role = replica;
    DELETE FROM pricing_plan_version WHERE plan_id > 7 OR version > 1;
    DELETE FROM pricing_plan WHERE id > 7;
    UPDATE pricing_plan SET is_active = true, is_featured = id IN (2, 5), display_order = id;
"""


@pytest.fixture
def room(begin: Begin, database_url: str) -> Iterator[StaffRoom]:
    """The plans are those of the contract again, whatever becomes of them here."""
    room = StaffRoom(begin, database_url, datetime.now(UTC))
    yield room
    with begin() as session:
        for statement in MEND.strip().split(";")[:-1]:
            session.execute(text(statement))


@pytest.fixture
def send(client: TestClient, tokens: Tokens, room: StaffRoom) -> Send:
    def send(method: str, path: str, body: Any, *, sub: str = "admin-1", **headers: str) -> Response:
        return client.request(method, path, json=body, headers={**tokens.of(sub, roles=["admin"]), **headers})

    return send


@pytest.fixture
def get(client: TestClient, tokens: Tokens, room: StaffRoom) -> Get:
    def read(path: str) -> dict[str, Any]:
        answer = client.get(path, headers=tokens.of("staff-1", roles=["staff"]))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return read


class Hands:
    """A worker that does what was accepted last, and says so."""

    def __init__(self, room: StaffRoom, valkey_url: str) -> None:
        self.room = room
        self.valkey_url = valkey_url

    def work(self) -> None:
        with self.room.begin() as session:
            newest = session.exec(select(StaffAct.id).order_by(col(StaffAct.requested_at).desc())).all()[0]
        self.room.perform(newest)
        with redis.Redis.from_url(self.valkey_url) as client:
            client.publish(ActDecided.channel, str(newest))


@pytest.fixture
def hands(room: StaffRoom, valkey_url: str) -> Hands:
    return Hands(room, valkey_url)


@pytest.fixture
def waited(send: Send, hands: Hands) -> Send:
    """The answer to one who waits while a worker works."""

    def act(method: str, path: str, body: Any, **headers: str) -> Response:
        with soon(hands.work):
            return send(method, path, body, Prefer="wait=10", **headers)

    return act


# --- reading ---


def test_staff_see_all_plans_with_their_versions(get: Get) -> None:
    page = get(PLANS)
    assert (page["count"], [plan["id"] for plan in page["results"]]) == (7, [1, 2, 3, 4, 5, 6, 7])
    standard = page["results"][1]
    assert (standard["code"], standard["is_active"], standard["is_featured"]) == ("standard", True, True)
    assert (standard["newest_version"], standard["current_version"]) == (1, 1)
    (version,) = standard["versions"]
    assert (version["status"], version["price_eur"], version["hours_included"]) == ("current", "140.00", "10.00")
    assert get(STANDARD) == {"success": True, **standard}


def test_what_is_not_on_sale_is_listed_too(get: Get, room: StaffRoom) -> None:
    """Whoever puts it back has to find it."""
    room.run("UPDATE pricing_plan SET is_active = false WHERE id IN (3, 4)")
    assert get(PLANS)["count"] == 7
    assert [plan["id"] for plan in get(f"{PLANS}?is_active=false")["results"]] == [3, 4]
    assert get(f"{PLANS}?is_active=true")["count"] == 5
    assert get(f"{PLANS}?is_active=perhaps")["count"] == 0
    second = get(f"{PLANS}?page=2&page_size=5")
    assert ([plan["id"] for plan in second["results"]], second["next"]) == ([6, 7], None)


def test_a_plan_says_at_its_top_what_its_buyers_are_told(get: Get, waited: Send, client: TestClient) -> None:
    """In the words of the list of plans: who wants the price need not know of versions."""
    details = {name: value for name, value in client.get(PRICES).json()[1].items() if name in DETAILS}
    assert len(details) == len(DETAILS)
    assert get(STANDARD).items() >= details.items()
    assert get(PLANS)["results"][1].items() >= details.items()
    sooner = waited("PATCH", STANDARD, {**EDIT, "name": "Better Package"}).json()
    assert sooner.items() >= {**details, **BETTER}.items()
    later = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    scheduled = waited("PATCH", STANDARD, {"price_eur": "160.00", "effective_from": later, "reason": REASON}).json()
    assert scheduled.items() >= {**details, **BETTER}.items()
    assert scheduled["versions"][-1]["price_eur"] == "160.00"
    made = waited("POST", PLANS, {**SUMMER, "effective_from": later}).json()
    assert (made["current_version"], made["name"], made["price_eur"]) == (None, "Summer Package", "112.00")


@pytest.mark.parametrize("number", ["8", "0", "x", "-1", "9" * 30, "2147483648"])
@pytest.mark.parametrize("path", ["{}/", "{}/preview/"])
def test_a_plan_that_is_not_there_is_404(client: TestClient, tokens: Tokens, path: str, number: str) -> None:
    answer = client.get(PLANS + path.format(number), headers=tokens.of(roles=["staff"]))
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


def test_a_scheduled_price_is_seen_before_it_comes(get: Get, waited: Send, client: TestClient) -> None:
    """As the buyer will see it, on the day from which he will."""
    begin = (datetime.now(UTC) + timedelta(days=10)).replace(hour=12, minute=0, second=0, microsecond=0)
    answer = waited("PATCH", STANDARD, {**EDIT, "effective_from": begin.isoformat()})
    assert answer.status_code == 200, answer.text
    assert [version["status"] for version in answer.json()["versions"]] == ["current", "scheduled"]
    now, day = get(f"{STANDARD}preview/"), get(f"{STANDARD}preview/?at={begin.date()}")
    assert now["plan"] == client.get(PRICES).json()[1]
    assert (now["version"], now["is_on_sale"], now["plan"]["price_eur"]) == (1, True, "140.00")
    assert (day["version"], day["plan"]["price_eur"], day["plan"]["price_per_hour"]) == (2, "150.00", "15.00")
    exactly = begin.isoformat().replace("+00:00", "Z")
    assert get(f"{STANDARD}preview/?at={exactly}")["version"] == 2
    long_ago = get(f"{STANDARD}preview/?at=2001-01-01")
    assert (long_ago["version"], long_ago["plan"], long_ago["is_on_sale"]) == (None, None, False)


def test_a_preview_of_no_day_is_refused(client: TestClient, tokens: Tokens) -> None:
    answer = client.get(f"{STANDARD}preview/?at=tomorrow", headers=tokens.of(roles=["staff"]))
    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["at"])


def test_nobody_reads_or_edits_the_address_of_many(client: TestClient, tokens: Tokens) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = client.request(method, BULK, headers=tokens.of(roles=["admin"]))
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


# --- acting ---


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", PLANS, SUMMER), ("PATCH", STANDARD, EDIT), ("PATCH", STANDARD, HIDDEN), ("POST", BULK, SET)],
)
def test_a_wish_is_a_row_and_a_202(send: Send, room: StaffRoom, method: str, path: str, body: dict[str, Any]) -> None:
    answer = send(method, path, body)
    assert (answer.status_code, answer.json()["status"]) == (202, "requested")
    row = room.row(UUID(answer.json()["id"]))
    assert (row.actor, row.reason, row.address) == ("admin-1", REASON, "192.0.2.7")
    assert answer.headers["Location"] == answer.json()["status_url"]


def test_a_plan_that_was_made_is_shown_with_its_address(waited: Send, get: Get) -> None:
    answer = waited("POST", PLANS, SUMMER)
    made = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{PLANS}{made['id']}/")
    assert (made["newest_version"], made["is_active"], made["versions"][0]["minutes"]) == (1, True, 480)
    assert get(answer.headers["Location"]) == made


def test_an_edit_is_shown_with_the_plan(waited: Send) -> None:
    """Numbers may be written as numbers; what is not named stays."""
    answer = waited("PATCH", STANDARD, {**EDIT, "price_eur": 150, "hours_included": 10.5})
    plan = answer.json()
    assert (answer.status_code, plan["newest_version"], plan["current_version"]) == (200, 2, 2)
    version = plan["versions"][-1]
    assert (version["price_eur"], version["minutes"], version["name"]) == ("150.00", 630, "Standard Package")


def test_null_takes_away_what_lives_on(waited: Send) -> None:
    """Of what a period leaves; what is absent stays as it is."""
    monthly = f"{PLANS}5/"
    first = waited("PATCH", monthly, {"expected_version": 1, "rollover_minutes": 600, "reason": REASON}).json()
    second = waited("PATCH", monthly, {"expected_version": 2, "price_eur": "1.00", "reason": REASON}).json()
    third = waited("PATCH", monthly, {"expected_version": 3, "rollover_minutes": None, "reason": REASON}).json()
    assert [plan["versions"][-1]["rollover_minutes"] for plan in (first, second, third)] == [600, 600, None]


def test_plans_are_set_together(waited: Send, client: TestClient) -> None:
    answer = waited("POST", BULK, {"plan_ids": [7, 1], "is_featured": True, "display_order": 0, "reason": REASON})
    assert answer.status_code == 200, answer.text
    assert [(plan["id"], plan["display_order"]) for plan in answer.json()["plans"]] == [(7, 0), (1, 1)]


def test_a_stale_page_is_told_what_changed(waited: Send) -> None:
    """With 409, so that the page can be read again; nothing is done."""
    waited("PATCH", STANDARD, EDIT)
    answer = waited("PATCH", STANDARD, {**EDIT, "name": "Better Package"})
    assert (answer.status_code, answer.json()["error_type"]) == (409, "plan_changed")
    assert answer.json()["message"] == "since version 1 there is version 2 (price_eur 140.00 → 150.00)"


def test_an_edit_that_names_no_version_is_of_the_newest(waited: Send) -> None:
    """Who changes one fact need not read the plan first; the facts that others changed stay."""
    waited("PATCH", STANDARD, EDIT)
    answer = waited("PATCH", STANDARD, {"name": "Better Package", "reason": REASON})
    assert (answer.status_code, answer.json()["newest_version"]) == (200, 3)
    assert answer.json().items() >= BETTER.items()
    unsaid = waited("PATCH", STANDARD, {"expected_version": None, "price_eur": "140.00", "reason": REASON})
    assert (unsaid.status_code, unsaid.json()["newest_version"]) == (200, 4)


def test_a_plan_is_taken_off_sale_and_shown_otherwise_without_a_new_version(
    waited: Send, client: TestClient, begin: Begin
) -> None:
    """By its own address, with the effect and the record of setting many."""
    answer = waited("PATCH", STANDARD, {**HIDDEN, "is_featured": False, "display_order": 9})
    plan = answer.json()
    assert (answer.status_code, plan["is_active"], plan["is_featured"], plan["display_order"]) == (200, False, False, 9)
    assert (plan["newest_version"], len(plan["versions"])) == (1, 1)
    assert 2 not in [one["id"] for one in client.get(PRICES).json()]
    with begin() as session:
        (act,) = session.exec(select(StaffAct)).all()
    assert (act.action, act.target, act.reason) == ("set_plans", "plan:2", REASON)
    assert (act.before, act.after) == (
        {"plans": [{"plan_id": 2, "is_active": True, "is_featured": True, "display_order": 2}]},
        {"plans": [{"plan_id": 2, "is_active": False, "is_featured": False, "display_order": 9}]},
    )
    back = waited("PATCH", STANDARD, {"is_active": True, "reason": REASON}).json()
    assert (back["is_active"], back["is_featured"], back["display_order"]) == (True, False, 9)


def test_a_stale_page_does_not_take_a_plan_off_sale(waited: Send, get: Get) -> None:
    waited("PATCH", STANDARD, EDIT)
    answer = waited("PATCH", STANDARD, {**HIDDEN, "expected_version": 1})
    assert (answer.status_code, answer.json()["error_type"]) == (409, "plan_changed")
    assert get(STANDARD)["is_active"]
    assert waited("PATCH", STANDARD, {**HIDDEN, "expected_version": 2}).json()["is_active"] is False


def test_what_a_plan_says_and_how_it_is_shown_change_together(waited: Send, begin: Begin) -> None:
    """One act: the new version and the flags are there, or neither is."""
    answer = waited("PATCH", STANDARD, {**EDIT, **HIDDEN})
    plan = answer.json()
    assert (answer.status_code, plan["newest_version"], plan["price_eur"], plan["is_active"]) == (
        200,
        2,
        "150.00",
        False,
    )
    taken = waited("PATCH", STANDARD, {"name": "Basic Package", "is_active": True, "reason": REASON})
    assert (taken.status_code, list(taken.json()["field_errors"])) == (400, ["name"])
    with begin() as session:
        acts = session.exec(select(StaffAct).order_by(col(StaffAct.requested_at))).all()
    assert [(act.action, act.state) for act in acts] == [("edit_plan", "done"), ("edit_plan", "refused")]


def test_an_instant_that_nothing_would_wait_for_is_refused(send: Send) -> None:
    """Nobody is to believe that the plan stays on sale until then."""
    begin = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    answer = send("PATCH", STANDARD, {**HIDDEN, "effective_from": begin})
    assert answer.status_code == 400
    assert answer.json()["field_errors"] == {
        "effective_from": ["is of what a plan says; is_active would count at once"]
    }


def test_a_name_that_is_taken_is_the_fault_of_a_field(waited: Send) -> None:
    """Only the worker knows it for certain, and whoever waits is told as of any other field."""
    answer = waited("POST", PLANS, {**SUMMER, "name": "Standard Package"})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")
    assert answer.json()["field_errors"] == {"name": ["plan 2 is active and called Standard Package"]}


def test_a_key_that_comes_again_is_the_same_act(send: Send, hands: Hands) -> None:
    """Also after the plan has changed by it, and after the instant for which it was scheduled."""
    begin = datetime.now(UTC) + timedelta(milliseconds=500)
    body, key = {**EDIT, "effective_from": begin.isoformat()}, {"Idempotency-Key": "k"}
    first = send("PATCH", STANDARD, body, **key)
    assert first.status_code == 202, first.text
    hands.work()
    eventually(lambda: datetime.now(UTC) > begin, 5, lambda: "the time stands still")
    again = send("PATCH", STANDARD, body, Prefer="wait=5", **key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json()["newest_version"] == 2
    assert send("PATCH", STANDARD, EDIT, **key).status_code == 422


def test_a_plan_is_made_once_for_a_key(send: Send, hands: Hands, get: Get) -> None:
    key = {"Idempotency-Key": "k"}
    first = send("POST", PLANS, SUMMER, **key)
    hands.work()
    again = send("POST", PLANS, SUMMER, Prefer="wait=5", **key)
    assert (first.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (202, 201, "true")
    assert get(PLANS)["count"] == 8


# --- what is no wish ---

BAD: list[tuple[str, str, dict[str, Any], dict[str, Any], list[str]]] = [
    *(
        ("POST", PLANS, SUMMER, {"name": name}, ["name"])
        for name in (None, 7, "", "  ", "x" * 101, "Sum\0mer", "Sum\nmer")
    ),
    ("POST", PLANS, SUMMER, {"description": "x" * 501}, ["description"]),
    ("POST", PLANS, SUMMER, {"description": "\0"}, ["description"]),
    *(("POST", PLANS, SUMMER, {"plan_type": kind}, ["plan_type"]) for kind in (None, 1, "trial")),
    *(
        ("POST", PLANS, SUMMER, {"hours_included": hours}, ["hours_included"])
        for hours in (None, "0", 0, -1, "1.01", "x", True, 1000.5, "1001", 10**18)
    ),
    *(
        ("POST", PLANS, SUMMER, {"price_eur": price}, ["price_eur"])
        for price in (None, "0", 0, -1, "1.001", 1.001, "x", True, "100000.01", 10**18)
    ),
    *(("POST", PLANS, SUMMER, {"currency": currency}, ["currency"]) for currency in ("usd", "EUR", "")),
    *(
        ("POST", PLANS, SUMMER, {"validity_days": days}, ["validity_days"])
        for days in (None, 0, -1, 3651, "30", 1.5, 10**18)
    ),
    ("POST", PLANS, SUMMER, {"rollover_minutes": 60}, ["rollover_minutes"]),
    ("POST", PLANS, SUMMER, {"plan_type": "subscription"}, ["validity_days"]),
    *(
        ("POST", PLANS, SUMMER, {"effective_from": begin}, ["effective_from"])
        for begin in ("soon", "2026-09-01", "2026-09-01T00:00:00", 1, "2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z")
    ),
    *(("POST", PLANS, SUMMER, {"display_order": place}, ["display_order"]) for place in (-1, 10_001, "1")),
    ("POST", PLANS, SUMMER, {"is_active": "yes"}, ["is_active"]),
    (
        "POST",
        PLANS,
        SUMMER,
        {"name": "x" * 101, "price_eur": 0, "validity_days": 0},
        ["name", "price_eur", "validity_days"],
    ),
    *(("PATCH", STANDARD, EDIT, {"expected_version": number}, ["expected_version"]) for number in (True, "1", 1.5)),
    ("PATCH", STANDARD, EDIT, {"plan_type": "subscription"}, ["plan_type"]),
    ("PATCH", STANDARD, EDIT, {"validity_days": None}, ["validity_days"]),
    ("PATCH", STANDARD, EDIT, {"price_eur": 0}, ["price_eur"]),
    ("PATCH", STANDARD, {"reason": REASON}, {"price_eur": 0}, ["price_eur"]),
    ("PATCH", STANDARD, EDIT, {"effective_from": "2001-01-01T00:00:00Z"}, ["effective_from"]),
    *(("PATCH", STANDARD, EDIT, {name: "1"}, [name]) for name in ("is_active", "is_featured", "display_order")),
    ("PATCH", STANDARD, HIDDEN, {"display_order": 10_001}, ["display_order"]),
    ("PATCH", STANDARD, HIDDEN, {"effective_from": "2099-01-01T00:00:00Z"}, ["effective_from"]),
    *(("POST", BULK, SET, {"plan_ids": ids}, ["plan_ids"]) for ids in (None, [], "3", ["3"], [True], [3] * 101)),
    ("POST", BULK, SET, {"is_active": None}, ["is_active"]),
    ("POST", BULK, SET, {"display_order": -1}, ["display_order"]),
    *(
        (*of, {"reason": reason}, ["reason"])
        for of in (("POST", PLANS, SUMMER), ("PATCH", STANDARD, EDIT), ("PATCH", STANDARD, HIDDEN), ("POST", BULK, SET))
        for reason in (None, " ", "x" * 501)
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "change", "fields"), BAD)
def test_a_field_that_cannot_be_is_named(
    send: Send, begin: Begin, method: str, path: str, body: dict[str, Any], change: dict[str, Any], fields: list[str]
) -> None:
    """Each of them, so that a form can show the complaint beside the field; nothing is kept of it."""
    answer = send(method, path, {**body, **change})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error"), answer.text
    assert list(answer.json()["field_errors"]) == fields
    assert answer.json()["message"].startswith(f"{fields[0]}: ")
    with begin() as session:
        assert session.execute(text("SELECT count(*) FROM staff_act")).scalar_one() == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"{PLANS}8/", EDIT),
        ("PATCH", f"{PLANS}8/", HIDDEN),
        ("PATCH", f"{PLANS}x/", EDIT),
        ("POST", BULK, {**SET, "plan_ids": [3, 2**40]}),
    ],
)
def test_what_is_not_there_is_not_changed(send: Send, method: str, path: str, body: dict[str, Any]) -> None:
    answer = send(method, path, body)
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


# --- what buyers see ---


def test_a_price_that_was_shown_is_not_taken_for_another(send: Send, hands: Hands, client: TestClient) -> None:
    """Who saw 140.00 is told that it is 150.00 now, and who bought at 140.00 has bought at 140.00."""
    bought = buy(client, wish(expected_price_eur="140.00"))
    assert bought.status_code == 202
    send("PATCH", STANDARD, EDIT)
    hands.work()
    late = buy(client, wish("eva@example.com", expected_price_eur="140.00"))
    assert (late.status_code, late.json()["error_type"]) == (409, "price_changed")
    assert buy(client, wish("eva@example.com", expected_price_eur="150.00")).status_code == 202
    token = {"X-Access-Token": bought.json()["access_token"]}
    kept = client.get(bought.json()["status_url"], headers=token).json()
    assert kept["plan_details"]["price_eur"] == "140.00"


def test_what_was_taken_off_sale_cannot_be_bought(send: Send, hands: Hands, client: TestClient) -> None:
    send("POST", BULK, {**SET, "plan_ids": [2]})
    hands.work()
    answer = buy(client)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")


def test_a_change_shows_at_every_door_within_two_seconds(
    settings: Settings, tokens: Tokens, room: StaffRoom, hands: Hands
) -> None:
    """Asked for at one door, seen at both: a new price, a new plan, and one that is gone."""
    headers = tokens.of("admin-1", roles=["admin"])
    steps: list[tuple[str, str, dict[str, Any], Callable[[list[dict[str, Any]]], bool]]] = [
        ("PATCH", STANDARD, EDIT, lambda plans: plans[1]["price_eur"] == "150.00"),
        ("POST", PLANS, SUMMER, lambda plans: plans[-1]["name"] == "Summer Package"),
        ("POST", BULK, SET, lambda plans: {plan["id"] for plan in plans}.isdisjoint({3, 4})),
    ]
    with running_doors(settings, settings.state_dir, 2) as doors:
        for method, path, body, is_seen in steps:
            for door in doors:
                assert not is_seen(httpx2.get(f"{door.url}{PRICES}").json())
            answer = httpx2.request(method, f"{doors[0].url}{path}", json=body, headers=headers)
            assert answer.status_code == 202, answer.text
            hands.work()
            for door in doors:
                eventually(
                    lambda url=door.url, is_seen=is_seen: is_seen(httpx2.get(f"{url}{PRICES}").json()),  # type: ignore[misc]
                    WITHIN_SECONDS,
                    lambda: "the change does not show",
                )
