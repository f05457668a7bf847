"""Staff see what failed and what differs; administrators work it anew, put it aside, or close it with a note."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.deadletters.names import LetterName
from billing.deployment import Deployment
from billing.ids import new_id
from billing.secrets import Vault
from billing.staff.wishes import Park
from billing.states import EventState
from tests.support.deadletters import EACH_KIND, REASON, Graveyard
from tests.support.factories import add_event, event_body
from tests.web.following import soon
from tests.web.money import Cashier
from tests.web.reading import written
from tests.web.support import API, Tokens

ADMIN = f"{API}admin/"
WHY = {"reason": "Its handler is mended."}
Get = Callable[[str], dict[str, Any]]


@pytest.fixture
def yard(begin: Begin, database_url: str, deployment: Deployment, vault: Vault, settings: Settings) -> Graveyard:
    now = datetime.now(UTC).replace(microsecond=0)
    return Graveyard(begin, database_url, deployment, vault, settings, now)


@pytest.fixture
def cashier(yard: Graveyard, valkey_url: str) -> Cashier:
    return Cashier(yard.returns, yard.room, valkey_url)


@pytest.fixture
def get(client: TestClient, tokens: Tokens) -> Get:
    def read(path: str) -> dict[str, Any]:
        answer = client.get(f"{ADMIN}{path}", headers=tokens.of("staff-1", roles=["staff"]))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    return read


@pytest.fixture
def post(client: TestClient, tokens: Tokens) -> Callable[..., Response]:
    def send(path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Response:
        who = tokens.of("admin-1", roles=["admin"])
        return client.post(f"{ADMIN}{path}", json=body or WHY, headers={**who, **headers})

    return send


def letters(get: Get, query: str = "") -> list[str]:
    return [f"{row['kind']}:{row['subject']}" for row in get(f"dead-letters/{query}")["results"]]


# --- events ---


def test_an_event_is_shown_as_the_contract_says(get: Get, yard: Graveyard) -> None:
    name = yard.event().name
    row = yard.row(name)
    assert get("webhooks/status/")["results"] == [
        {
            "stripe_event_id": row["stripe_event_id"],
            "event_type": "payment_intent.succeeded",
            "status": "dead",
            "outcome": None,
            "attempts": 7,
            "error_message": REASON,
            "received_at": written(yard.now),
            "processed_at": None,
        }
    ]


def test_the_list_says_how_many_are_in_which_state_and_how_long_they_took(get: Get, yard: Graveyard) -> None:
    """Whatever was asked for: a page of dead ones still tells that others are fine."""
    assert get("webhooks/status/")["lag_seconds"] == {"p50": None, "p95": None}
    dead = yard.event()
    for _ in range(3):
        add_event(yard.begin, event_body("balance.available", {"id": "any"}, at=yard.now), at=yard.now)
    yard.drain()
    yard.run("UPDATE webhook_event SET processed_at = received_at + id * interval '1 second' WHERE id > 1")
    body = get("webhooks/status/?status=dead")
    assert [row["stripe_event_id"] for row in body["results"]] == [yard.row(dead.name)["stripe_event_id"]]
    assert body["counts"] == {**{state.value: 0 for state in EventState}, "ignored": 3, "dead": 1}
    assert body["lag_seconds"] == {"p50": 3.0, "p95": pytest.approx(3.9)}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", {1, 2, 3}),
        ("status=received", {2, 3}),
        ("status=nonsense", set()),
        ("event_type=balance.available", {2}),
        ("event_type=%00", set()),
        ("search=BALANCE", {2}),
        ("search=evt_", {1, 2, 3}),
        ("search=%25", set()),
        ("date_from=2026-03-02", {1, 2}),
        ("date_to=2026-03-01", {3}),
        ("date_from=2026-03-02&date_to=2026-03-02T23:59:59Z", {1, 2}),
        ("date_from=soon", set()),
        ("date_to=0001-01-01", set()),
    ],
)
def test_events_are_narrowed(get: Get, yard: Graveyard, query: str, numbers: set[int]) -> None:
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    yard.now = at
    yard.event()
    for kind, received in (("balance.available", at), ("charge.updated", at - timedelta(days=2))):
        add_event(yard.begin, event_body(kind, {"id": "any"}, at=received), at=received)
    body = get(f"webhooks/status/?{query}")
    known = {yard.row(LetterName("webhook_event", str(number)))["stripe_event_id"]: number for number in (1, 2, 3)}
    assert {known[row["stripe_event_id"]] for row in body["results"]} == numbers
    assert body["count"] == len(numbers)


def test_a_replay_is_accepted_and_its_act_followed(post: Callable[..., Response], yard: Graveyard, get: Get) -> None:
    dead = yard.event()
    answer = post(f"webhooks/{yard.row(dead.name)['stripe_event_id']}/replay/", **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["status"]) == (202, "requested")
    again = post("webhooks/1/replay/", **{"Idempotency-Key": "k"})
    assert (again.json()["id"], again.headers["Idempotent-Replayed"]) == (answer.json()["id"], "true")
    yard.room.perform(yard.scalar("SELECT id FROM staff_act"))
    act = get(f"payments/audit-log/{answer.json()['id']}/")
    assert (act["action"], act["target"], act["actor"], act["status"]) == (
        "replay",
        "webhook_event:1",
        "admin-1",
        "done",
    )
    assert act["before"]["reason"] == REASON


def test_who_waits_hears_what_became_of_it(post: Callable[..., Response], yard: Graveyard, cashier: Cashier) -> None:
    """Not that a worker was asked, but that the hours are there."""
    dead = yard.event()

    def work() -> None:
        cashier.hold()
        dead.work()

    with soon(work):
        answer = post("webhooks/1/replay/", Prefer="wait=10")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["result"], body["became"], body["state"], body["due_at"]) == ("reopened", "done", "applied", None)
    assert [(entry["kind"], entry["minutes"]) for entry in body["ledger_entries"]] == [("credit", 600)]
    with soon(cashier.hold):
        again = post("webhooks/1/replay/", Prefer="wait=10").json()
    assert (again["result"], again["became"], again["state"]) == ("already applied", "done", "applied")


def test_who_waits_hears_that_it_died_again(post: Callable[..., Response], yard: Graveyard, cashier: Cashier) -> None:
    dead = yard.event()

    def work() -> None:
        cashier.hold()
        yard.die(dead.name, "KeyError: 'plan'")

    with soon(work):
        body = post("webhooks/1/replay/", Prefer="wait=10").json()
    assert (body["became"], body["state"], body["reason"]) == ("dead", "dead", "KeyError: 'plan'")


def test_who_waits_for_less_hears_when_it_is_due(
    post: Callable[..., Response], yard: Graveyard, cashier: Cashier
) -> None:
    yard.event()
    with soon(cashier.hold):
        body = post("webhooks/1/replay/", Prefer="wait=1").json()
    assert (body["result"], body["became"]) == ("reopened", "waiting")
    assert body["due_at"] is not None


def test_a_dry_run_shows_the_effect_and_has_none(
    client: TestClient, tokens: Tokens, post: Callable[..., Response], yard: Graveyard
) -> None:
    """It asks for no reason, for it leaves nothing behind."""
    yard.event()
    headers = tokens.of("admin-1", roles=["admin"])
    answer = client.post(f"{ADMIN}webhooks/1/replay/?dry_run=true", headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["dry_run"], body["outcome"], len(body["effects"]["entries"])) == (True, "applied", 1)
    counts = "SELECT (SELECT count(*) FROM staff_act) + (SELECT count(*) FROM hour_entry)"
    assert yard.scalar(counts) == 0
    assert yard.row(LetterName("webhook_event", "1"))["state"] == "dead"
    unclear = post("webhooks/1/replay/?dry_run=perhaps")
    assert (unclear.status_code, [*unclear.json()["field_errors"]]) == (400, ["dry_run"])


@pytest.mark.parametrize("event_id", ["evt_none", "999", "x" * 300, "9" * 40, "%00", "status"])
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_an_event_that_never_came_is_404(
    post: Callable[..., Response], yard: Graveyard, event_id: str, query: str
) -> None:
    answer = post(f"webhooks/{event_id}/replay/{query}")
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")
    assert yard.scalar("SELECT count(*) FROM staff_act") == 0


@pytest.mark.parametrize("path", ["webhooks/1/replay/", "dead-letters/webhook_event/1/park/"])
@pytest.mark.parametrize("body", [{"reason": " "}, {"reason": 7}, {"why": "so"}, {"reason": "x" * 501}])
def test_an_act_without_a_reason_is_400(
    post: Callable[..., Response], yard: Graveyard, path: str, body: dict[str, Any]
) -> None:
    yard.event()
    answer = post(path, body)
    assert (answer.status_code, [*answer.json()["field_errors"]]) == (400, ["reason"])


# --- dead letters ---


def test_a_letter_is_shown_with_its_facts(get: Get, yard: Graveyard) -> None:
    yard.event()
    (row,) = get("dead-letters/")["results"]
    assert (row["kind"], row["subject"], row["state"]) == ("webhook_event", "1", "dead")
    assert (row["reason"], row["error_class"], row["attempts"]) == (REASON, "ValueError", 7)
    assert row["first_at"] < row["at"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"webhook_event:1", "webhook_event:2", "message:1"}),
        ("?kind=message", {"message:1"}),
        ("?kind=nonsense", set()),
        ("?state=parked", {"webhook_event:2"}),
        ("?state=dead&kind=webhook_event", {"webhook_event:1"}),
        ("?state=buried", set()),
        ("?error_class=ValueError", {"webhook_event:1", "webhook_event:2"}),
        ("?digest=zz", set()),
        ("?error_class=%00", set()),
    ],
)
def test_letters_are_narrowed(get: Get, yard: Graveyard, query: str, found: set[str]) -> None:
    yard.event()
    other = yard.event().name
    yard.message()
    yard.reopen(other)
    yard.die(other)
    yard.room.do(Park(kind=other.kind, subject=other.subject))
    assert set(letters(get, query)) == found


@pytest.mark.parametrize("kind", EACH_KIND)
def test_each_kind_is_replayed_at_the_door(
    post: Callable[..., Response], get: Get, yard: Graveyard, cashier: Cashier, kind: str
) -> None:
    dead = EACH_KIND[kind](yard)
    assert letters(get) == [str(dead.name)]
    path = f"dead-letters/{dead.name.kind}/{dead.name.subject}/replay/"
    assert post(f"{path}?dry_run=1").json()["result"] == "reopened"
    with soon(cashier.hold):
        body = post(path, Prefer="wait=1").json()
    assert (body["kind"], body["result"]) == (kind, "reopened")
    assert letters(get) == []


def test_a_letter_is_parked_and_discarded(
    post: Callable[..., Response], get: Get, yard: Graveyard, cashier: Cashier
) -> None:
    yard.message()
    for verb, state in (("park", "parked"), ("discard", "discarded")):
        with soon(cashier.hold):
            body = post(f"dead-letters/message/1/{verb}/", Prefer="wait=10").json()
        assert (body["kind"], body["subject"], body["state"]) == ("message", "1", state)
        assert letters(get, f"?state={state}") == ["message:1"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("webhook_event/999/replay/", 404),
        ("webhook_event/999/park/", 404),
        ("message/1/replay/", 409),
        ("webhook_event/1/discard/", 409),
    ],
)
def test_a_refusal_is_told_to_who_waits(
    post: Callable[..., Response], yard: Graveyard, cashier: Cashier, path: str, status: int
) -> None:
    yard.message()
    yard.reopen(yard.event().name)
    with soon(cashier.hold):
        answer = post(f"dead-letters/{path}", Prefer="wait=10")
    assert answer.status_code == status, answer.text
    assert answer.json()["error_type"] == {404: "not_found", 409: "invalid_state"}[status]


@pytest.mark.parametrize("path", ["nonsense/1", "refund/12", "webhook_event/evt_1", "purchase/%00"])
@pytest.mark.parametrize("verb", ["replay", "park", "discard"])
def test_what_no_row_can_be_called_is_404(post: Callable[..., Response], path: str, verb: str) -> None:
    answer = post(f"dead-letters/{path}/{verb}/")
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


def test_a_message_cannot_be_tried_either(post: Callable[..., Response], yard: Graveyard) -> None:
    yard.message()
    answer = post("dead-letters/message/1/replay/?dry_run=true")
    assert (answer.status_code, answer.json()["error_type"]) == (409, "invalid_state")


# --- findings and cases ---

FINDING = """
    INSERT INTO finding (id, kind, source, purchase_id, detail, theirs_cents, state, opened_at, seen_at)
    VALUES (:id, 'refund_missing', :source, :purchase, 'unknown here', 7000, 'open', :at, :at)
"""
CASE = """
    INSERT INTO staff_case (reason, source, purchase_id, detail, state, opened_at)
    VALUES ('key_reused', :source, NULL, 'the key was used before', 'open', :at)
"""
NOTE = {"note": " Seen with the bank. "}


def test_a_difference_is_shown_and_closed_with_a_note(
    post: Callable[..., Response], get: Get, yard: Graveyard, cashier: Cashier
) -> None:
    sold, finding_id = yard.returns.sold(), new_id()
    yard.run(FINDING, id=finding_id, source="re_1", purchase=sold.id, at=yard.now)
    (row,) = get("findings/?state=open&kind=refund_missing")["results"]
    assert (row["id"], row["source"], row["transaction_id"]) == (str(finding_id), "re_1", sold.transaction_id)
    assert (row["ours"], row["theirs"], row["closed_at"]) == (None, "70.00", None)
    with soon(cashier.hold):
        closed = post(f"findings/{finding_id}/close/", NOTE, Prefer="wait=10").json()
    assert (closed["target"], closed["state"], closed["note"]) == (
        f"finding:{finding_id}",
        "closed",
        "Seen with the bank.",
    )
    (row,) = get("findings/?state=closed")["results"]
    assert (row["closed_by"], row["note"]) == ("admin-1", "Seen with the bank.")
    assert get("findings/?state=open")["count"] == get("findings/?kind=nonsense")["count"] == 0


def test_a_case_is_shown_and_closed_once(
    post: Callable[..., Response], get: Get, yard: Graveyard, cashier: Cashier
) -> None:
    yard.run(CASE, source="key-1", at=yard.now)
    (row,) = get("cases/?reason=key_reused")["results"]
    assert (row["id"], row["state"], row["opened_at"]) == (1, "open", written(yard.now))
    statuses = []
    for _ in range(2):
        with soon(cashier.hold):
            statuses.append(post("cases/1/close/", NOTE, Prefer="wait=10").status_code)
    assert statuses == [200, 409]
    assert (get("cases/?state=closed")["count"], get("cases/?reason=other")["count"]) == (1, 0)


@pytest.mark.parametrize("path", ["cases/999/close/", "findings/00000000-0000-0000-0000-000000000001/close/"])
def test_what_is_not_there_cannot_be_closed(post: Callable[..., Response], cashier: Cashier, path: str) -> None:
    with soon(cashier.hold):
        assert post(path, NOTE, Prefer="wait=10").status_code == 404


@pytest.mark.parametrize("path", ["cases/x/close/", "cases/0/close/", f"cases/{'9' * 30}/close/", "findings/x/close/"])
def test_what_is_no_id_is_404(post: Callable[..., Response], path: str) -> None:
    assert post(path, NOTE).status_code == 404


@pytest.mark.parametrize("path", ["cases/1/close/", "findings/00000000-0000-0000-0000-000000000001/close/"])
def test_nothing_is_closed_without_a_note(post: Callable[..., Response], path: str) -> None:
    answer = post(path, {"note": ""})
    assert (answer.status_code, [*answer.json()["field_errors"]]) == (400, ["note"])
