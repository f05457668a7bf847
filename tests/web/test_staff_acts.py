"""What staff ask for is accepted at the door, done by a worker, and answered with what it brought."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from httpx2 import Response
from sqlalchemy import text
from sqlmodel import col, select
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.expiry.sweep import sweep_lots
from billing.messages import ActDecided, SweepLots
from billing.models import StaffAct
from billing.states import ActState
from tests.support.factories import STANDARD_MINUTES, add_student, minutes_left
from tests.support.records import DAY, bought
from tests.support.staff import StaffRoom
from tests.support.statements import counted
from tests.web.following import soon
from tests.web.reading import written
from tests.web.support import API, Tokens

EXTEND, BULK = f"{API}admin/packages/1/extend/", f"{API}admin/bulk-extend-packages/"
PROCESS = f"{API}admin/process-expired-packages/"
LOG = f"{API}admin/payments/audit-log/"
REASON = "Ana was ill."
Post = Callable[..., Response]


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def room(begin: Begin, database_url: str, today: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, today)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    return add_student(begin, at=today, external_id="user-1")


@pytest.fixture
def packages(begin: Begin, student: int, today: datetime) -> None:
    """Two packages, of which the first expired two days ago."""
    bought(begin, student, at=today, expires_at=today - 2 * DAY)
    bought(begin, student, at=today, expires_at=today + 10 * DAY)


@pytest.fixture
def post(client: TestClient, tokens: Tokens) -> Post:
    def send(path: str, body: Any, *, sub: str = "staff-1", **headers: str) -> Response:
        return client.post(path, json=body, headers={**tokens.of(sub, roles=["staff"]), **headers})

    return send


class Hands:
    """A worker that does what was accepted last, and says so."""

    def __init__(self, room: StaffRoom, valkey_url: str) -> None:
        self.room = room
        self.valkey_url = valkey_url

    def work(self) -> None:
        act_id = self.newest()
        follow_ups = self.room.perform(act_id)
        with redis.Redis.from_url(self.valkey_url) as client:
            client.publish(ActDecided.channel, str(act_id))
        for message in follow_ups:
            if isinstance(message, SweepLots):
                sweep_lots(self.room.begin, self.room.leases.terms, message, now=self.room.now)

    def newest(self) -> UUID:
        with self.room.begin() as session:
            return session.exec(select(StaffAct.id).order_by(col(StaffAct.requested_at).desc())).all()[0]


@pytest.fixture
def hands(room: StaffRoom, valkey_url: str) -> Hands:
    return Hands(room, valkey_url)


@pytest.mark.usefixtures("packages")
def test_a_wish_is_a_row_and_a_202(post: Post, client: TestClient, tokens: Tokens, room: StaffRoom) -> None:
    answer = post(EXTEND, {"extension_days": 30, "reason": f"  {REASON} ", "extend_from_now": True})
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (202, True, "requested")
    assert body["status_url"] == f"{LOG}{body['id']}/" == answer.headers["Location"]
    row = room.row(UUID(body["id"]))
    assert (row.actor, row.reason, row.target, row.address) == ("staff-1", REASON, "purchase:1", "192.0.2.7")
    assert row.parameters == {"transaction_id": 1, "extension_days": 30, "extend_from_now": True}
    assert row.request_id == answer.headers["X-Request-Id"]
    shown = client.get(body["status_url"], headers=tokens.of("staff-2", roles=["admin"])).json()
    assert (shown["status"], shown["success"], shown["action"]) == ("requested", None, "extend")
    room.perform(row.id)
    shown = client.get(body["status_url"], headers=tokens.of("staff-2", roles=["admin"])).json()
    assert (shown["status"], shown["success"], shown["error_type"]) == ("done", True, None)
    assert shown["before"]["expires_at"] < shown["after"]["expires_at"]


@pytest.mark.usefixtures("packages")
def test_a_refusal_is_in_the_resource(post: Post, client: TestClient, tokens: Tokens, room: StaffRoom) -> None:
    body = post(EXTEND, {"extension_days": 1, "reason": REASON}).json()
    room.perform(UUID(body["id"]))
    shown = client.get(body["status_url"], headers=tokens.of("staff-1", roles=["staff"])).json()
    assert (shown["status"], shown["success"], shown["error_type"]) == ("refused", False, "still_expired")
    assert "extend_from_now" in shown["error_message"]
    assert shown["after"] is None


@pytest.mark.usefixtures("packages")
def test_whoever_waits_sees_the_package(post: Post, hands: Hands, student: int) -> None:
    hands.room.sweep()
    wish = {"extension_days": 30, "reason": REASON, "extend_from_now": True}
    with soon(hands.work):
        answer = post(EXTEND, wish, Prefer="wait=10")
    body = answer.json()
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=10")
    assert (body["success"], body["transaction_id"], body["hours_remaining"]) == (True, 1, "10.00")
    assert (body["is_expired"], body["days_until_expiry"]) == (False, 30)
    assert minutes_left(hands.room.begin, student) == 2 * STANDARD_MINUTES


@pytest.mark.usefixtures("packages")
def test_whoever_waits_sees_all_packages(post: Post, hands: Hands) -> None:
    with soon(hands.work):
        answer = post(BULK, {"transaction_ids": [2, 1, 2], "extension_days": 7, "reason": REASON}, Prefer="wait=10")
    assert answer.status_code == 200, answer.text
    assert [package["transaction_id"] for package in answer.json()["packages"]] == [1, 2]


@pytest.mark.usefixtures("packages")
def test_whoever_waits_is_refused_in_the_words_of_the_refusal(post: Post, hands: Hands) -> None:
    with soon(hands.work):
        answer = post(EXTEND, {"extension_days": 1, "reason": REASON}, Prefer="wait=10")
    assert (answer.status_code, answer.json()["error_type"]) == (409, "still_expired")
    assert "extend_from_now" in answer.json()["message"]
    assert answer.headers["Preference-Applied"] == "wait=10"


@pytest.mark.usefixtures("packages")
def test_an_end_that_was_seen_is_checked_by_the_worker(post: Post, hands: Hands) -> None:
    """Who was faster moved it; where nobody was, the end of an answer is good as it stands there."""
    wish = {"extension_days": 30, "reason": REASON, "extend_from_now": True}
    ends = hands.room.lot().expires_at
    assert ends is not None
    with soon(hands.work):
        stale = post(EXTEND, {**wish, "expected_expires_at": written(ends - timedelta(days=1))}, Prefer="wait=10")
    assert (stale.status_code, stale.json()["error_type"]) == (409, "package_changed")
    assert f"until {written(ends)} now" in stale.json()["message"]
    with soon(hands.work):
        assert post(EXTEND, {**wish, "expected_expires_at": written(ends)}, Prefer="wait=10").status_code == 200


@pytest.mark.usefixtures("packages")
def test_where_nobody_works_the_wait_ends_with_the_id(post: Post) -> None:
    answer = post(EXTEND, {"extension_days": 9, "reason": REASON}, Prefer="wait=0")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=0")


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("path", [EXTEND, BULK, PROCESS])
def test_a_key_that_comes_again_is_the_same_act(post: Post, room: StaffRoom, path: str) -> None:
    wish = {"extension_days": 9, "reason": REASON, "transaction_ids": [1, 2]}
    key = {"Idempotency-Key": "k"}
    first, again = post(path, wish, **key), post(path, wish, **key)
    assert (first.json()["id"], again.status_code) == (again.json()["id"], 202)
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert post(path, wish, sub="staff-2", **key).json()["id"] != first.json()["id"]
    for other in ({**wish, "reason": "Another."}, {**wish, "extension_days": 8, "grace_hours": 1}):
        answer = post(path, other, **key)
        assert (answer.status_code, answer.json()["error_type"]) == (422, "idempotency_mismatch")


@pytest.mark.usefixtures("packages")
def test_a_key_of_one_package_is_none_of_another(post: Post) -> None:
    wish = {"extension_days": 9, "reason": REASON}
    post(EXTEND, wish, **{"Idempotency-Key": "k"})
    other = post(f"{API}admin/packages/2/extend/", wish, **{"Idempotency-Key": "k"})
    assert other.status_code == 422


@pytest.mark.usefixtures("packages")
def test_a_repeat_is_answered_with_the_outcome(post: Post, hands: Hands) -> None:
    wish = {"extension_days": 9, "reason": REASON}
    key = {"Idempotency-Key": "k"}
    post(EXTEND, wish, **key)
    hands.work()
    answer = post(EXTEND, wish, **key, Prefer="wait=5")
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
    assert post(EXTEND, wish, **key).json()["status"] == ActState.DONE


# --- what is no wish ---

GOOD: dict[str, Any] = {"extension_days": 1, "reason": REASON, "transaction_ids": [1]}
BAD: list[tuple[str, dict[str, Any], str]] = [
    *((path, {"reason": reason}, "reason") for path in (EXTEND, BULK, PROCESS) for reason in ("", "  ", "x" * 501, 7)),
    *((path, {"reason": None}, "reason") for path in (EXTEND, BULK)),
    *(
        (path, {"extension_days": days}, "extension_days")
        for path in (EXTEND, BULK)
        for days in (0, -1, 1827, 1.5, "30", True, None, 10**18)
    ),
    *((EXTEND, {"extend_from_now": flag}, "extend_from_now") for flag in ("yes", 1, None)),
    *(
        (EXTEND, {"expected_expires_at": at}, "expected_expires_at")
        for at in ("", 0, "2026-03-10", "2026-03-10T00:00:00")
    ),
    *((BULK, {"transaction_ids": ids}, "transaction_ids") for ids in ([], None, "1", ["1"], [True], [1] * 1001)),
    *((PROCESS, {"grace_hours": hours}, "grace_hours") for hours in (-1, 8761, "24", 1.5, True)),
    *((PROCESS, {"dry_run": flag}, "dry_run") for flag in ("yes", 1, None)),
]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(("path", "change", "field"), BAD)
def test_a_field_that_cannot_be_read_is_named(
    post: Post, begin: Begin, path: str, change: dict[str, Any], field: str
) -> None:
    answer = post(path, {**GOOD, **change})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error")
    assert list(answer.json()["field_errors"]) == [field]
    assert no_act(begin)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("path", [EXTEND, BULK, PROCESS])
def test_every_act_needs_a_reason(post: Post, begin: Begin, path: str) -> None:
    answer = post(path, {name: value for name, value in GOOD.items() if name != "reason"})
    assert answer.json()["field_errors"] == {"reason": ["is required"]}
    assert no_act(begin)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("number", ["3", "0", "x", "-1", "1.0", "9" * 30, "9223372036854775808", "٣"])
def test_a_package_that_is_not_there_is_404(post: Post, begin: Begin, number: str) -> None:
    answer = post(f"{API}admin/packages/{number}/extend/", GOOD)
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")
    assert no_act(begin)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("ids", [[1, 2, 3], [1, -5], [1, 2**63]])
def test_one_unknown_number_is_404_and_nothing_is_done(post: Post, begin: Begin, ids: list[int]) -> None:
    answer = post(BULK, {**GOOD, "transaction_ids": ids})
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")
    assert no_act(begin)


@pytest.mark.usefixtures("packages")
def test_an_act_is_two_statements_at_the_door(post: Post) -> None:
    """Whether the packages are there, and the row: however many packages it is about."""
    post(EXTEND, GOOD)
    for path, ids in ((EXTEND, [1]), (BULK, [1]), (BULK, [1, 2])):
        with counted() as statements:
            assert post(path, {**GOOD, "transaction_ids": ids}).status_code == 202
        assert len(statements) == 2


# --- sweeps ---


@pytest.mark.usefixtures("packages")
def test_a_dry_run_shows_and_does_nothing(post: Post, begin: Begin, student: int, settings: Settings) -> None:
    answer = post(PROCESS, {"dry_run": True})
    body = answer.json()
    assert (answer.status_code, body["dry_run"], body["grace_hours"]) == (200, True, settings.expiry_grace_hours)
    assert (body["students"], body["packages"], body["hours"], body["minutes"]) == (1, 1, "10.00", 600)
    (loss,) = body["losses"]
    assert (loss["student"], loss["packages"]) == ({"id": student, "email": "ana@example.com"}, 1)
    assert post(PROCESS, {"dry_run": True, "grace_hours": 72}).json()["packages"] == 0
    assert no_act(begin)
    assert minutes_left(begin, student) == 2 * STANDARD_MINUTES


@pytest.mark.usefixtures("packages")
def test_a_sweep_is_started_and_its_sums_are_waited_for(post: Post, hands: Hands, student: int) -> None:
    with soon(hands.work):
        answer = post(PROCESS, {"grace_hours": 24, "reason": REASON}, Prefer="wait=10")
    body = answer.json()
    assert (answer.status_code, body["success"], body["dry_run"]) == (200, True, False)
    assert (body["run"]["id"], body["run"]["status"]) == (1, "finished")
    assert (body["students"], body["packages"], body["hours"]) == (1, 1, "10.00")
    assert minutes_left(hands.room.begin, student) == STANDARD_MINUTES


@pytest.mark.usefixtures("packages")
def test_the_grace_of_the_nights_is_taken_where_none_is_named(post: Post, room: StaffRoom) -> None:
    body = post(PROCESS, {"reason": REASON}).json()
    assert room.row(UUID(body["id"])).parameters == {"grace_hours": 24}


@pytest.mark.usefixtures("packages")
def test_a_sweep_that_takes_long_is_shown_as_it_stands(post: Post, room: StaffRoom, hands: Hands) -> None:
    def only_begin() -> None:
        room.perform(hands.newest())

    with soon(only_begin):
        answer = post(PROCESS, {"reason": REASON}, Prefer="wait=1")
    body = answer.json()
    assert (answer.status_code, body["run"]["status"], body["run"]["finished_at"]) == (200, "running", None)
    assert timedelta(seconds=0) <= datetime.now(UTC) - datetime.fromisoformat(body["run"]["started_at"])


def no_act(begin: Begin) -> bool:
    with begin() as session:
        return not session.execute(text("SELECT count(*) FROM staff_act")).scalar_one()
