"""What is done with booked hours afterwards: captured, released, given back, each once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.ids import new_id
from tests.web.lessons import CONSUMPTIONS, Platform, held, lesson, lessons, refusal_of
from tests.web.support import Tokens

BECAUSE = {"reason": "The lesson ended early."}


@pytest.fixture
def platform(client: TestClient, begin: Begin, settings: Settings, tokens: Tokens) -> Platform:
    platform = Platform(client, begin, settings, tokens)
    platform.student("ana")
    return platform


@pytest.fixture
def hold(platform: Platform) -> str:
    return str(platform.booked(held())["id"])


@pytest.fixture
def taken(platform: Platform) -> str:
    return str(platform.booked(lesson())["id"])


def test_an_act_is_committed_and_followed(platform: Platform, hold: str) -> None:
    """Who does not wait learns its outcome where the 202 says."""
    answer = platform.ask(hold, "capture", {"hours": "1.25"})
    path, act_id = answer.headers["Location"], answer.json()["id"]
    assert answer.status_code == 202
    assert answer.json() == {"success": True, "id": act_id, "status": "requested", "status_url": path}
    assert (path, answer.headers["Retry-After"]) == (f"{CONSUMPTIONS}{hold}/acts/{act_id}/", "1")
    assert (platform.get(path)["status"], platform.get(path)["decided_at"]) == ("requested", None)
    platform.work()
    act = platform.get(path)
    facts = {name: act[name] for name in ("success", "id", "act", "status", "minutes", "hours")}
    assert facts == {"success": True, "id": act_id, "act": "capture", "status": "done", "minutes": 75, "hours": "1.25"}
    assert act["requested_at"] <= act["decided_at"]
    assert act["consumption"] == platform.get(f"{CONSUMPTIONS}{hold}/")
    assert (act["consumption"]["status"], act["consumption"]["hours_consumed"]) == ("consumed", "1.25")
    assert [one["act"] for one in act["consumption"]["acts"]] == ["book", "capture"]


@pytest.mark.parametrize(
    ("act", "body", "status", "minutes"),
    [
        ("capture", {}, "consumed", (0, 90, 0)),
        ("capture", {"minutes": 50}, "consumed", (0, 50, 0)),
        ("capture", {"hours": 2}, "consumed", (0, 120, 0)),
        ("release", {}, "released", (0, 0, 0)),
    ],
)
def test_a_hold_is_captured_or_released(
    platform: Platform, hold: str, act: str, body: Any, status: str, minutes: tuple[int, int, int]
) -> None:
    answer = platform.asked_at_once(hold, act, body)
    record = answer.json()
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=10")
    assert (record["id"], record["status"]) == (hold, status)
    assert tuple(record[f"minutes_{part}"] for part in ("held", "consumed", "returned")) == minutes


@pytest.mark.parametrize(
    ("body", "status", "minutes"),
    [({}, "refunded", (0, 90)), ({"hours": "0.50"}, "consumed", (60, 30)), ({"minutes": 1}, "consumed", (89, 1))],
)
def test_hours_are_given_back(platform: Platform, taken: str, body: Any, status: str, minutes: tuple[int, int]) -> None:
    answer = platform.asked_at_once(taken, "refund", {**body, **BECAUSE})
    record = answer.json()
    assert (answer.status_code, record["status"]) == (200, status)
    assert (record["minutes_consumed"], record["minutes_returned"]) == minutes
    assert record["acts"][-1]["reason"] == BECAUSE["reason"]


def test_all_that_is_held_is_captured_without_a_word(platform: Platform, hold: str) -> None:
    """Nothing of a capture is required, so an empty request is one."""
    answer = platform.client.post(f"{CONSUMPTIONS}{hold}/capture/", headers=platform.headers)
    platform.work()
    assert answer.status_code == 202
    assert platform.get(f"{CONSUMPTIONS}{hold}/")["minutes_consumed"] == 90


def test_hours_are_rounded_half_up(platform: Platform, hold: str) -> None:
    """Fifty minutes are 0.83 hours; the minutes beside them are exact."""
    record = platform.asked_at_once(hold, "capture", {"minutes": 50}).json()
    assert (record["minutes_consumed"], record["hours_consumed"]) == (50, "0.83")


@pytest.mark.parametrize(
    ("mode", "act", "body", "error_type"),
    [
        ("consume", "capture", {}, "invalid_state"),
        ("consume", "release", {}, "invalid_state"),
        ("hold", "refund", BECAUSE, "invalid_state"),
        ("consume", "refund", {"hours": 2, **BECAUSE}, "invalid_state"),
        ("hold", "capture", {"hours": 11}, "insufficient_balance"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    platform: Platform, mode: str, act: str, body: Any, error_type: str
) -> None:
    before = platform.booked(held() if mode == "hold" else lesson())
    answer = platform.asked_at_once(before["id"], act, body)
    assert refusal_of(answer) == (409, error_type)
    assert answer.headers["Preference-Applied"] == "wait=10"
    after = platform.get(f"{CONSUMPTIONS}{before['id']}/")
    refused = platform.get(f"{CONSUMPTIONS}{before['id']}/acts/{after['acts'][-1]['id']}/")
    assert (refused["status"], refused["error_type"]) == ("refused", error_type)
    assert {**after, "acts": after["acts"][:1]} == before


def test_a_group_is_captured_together_or_one_by_one(platform: Platform) -> None:
    """Under the group's name the act is done to each; under a record's own, to that one."""
    platform.student("eva")
    group = platform.booked({**lessons(), "mode": "hold", "ends_at": held()["ends_at"]})
    first, second = (record["id"] for record in group["consumptions"])
    released = platform.asked_at_once(second, "release").json()
    assert (released["id"], released["status"]) == (second, "released")
    assert platform.get(f"{CONSUMPTIONS}{group['id']}/")["status"] == "held"
    assert refusal_of(platform.asked_at_once(group["id"], "capture")) == (409, "invalid_state")
    platform.asked_at_once(first, "capture")
    both = platform.get(f"{CONSUMPTIONS}{group['id']}/")
    assert (both["status"], [record["status"] for record in both["consumptions"]]) == (
        "consumed",
        ["consumed", "released"],
    )
    acts = [[act["act"] for act in record["acts"]] for record in both["consumptions"]]
    assert acts == [["book", "capture", "capture"], ["book", "release", "capture"]]


def test_an_act_on_a_group_shows_the_group(platform: Platform) -> None:
    platform.student("eva")
    group = platform.booked({**lessons(), "mode": "hold", "ends_at": held()["ends_at"]})
    answer = platform.asked_at_once(group["id"], "capture")
    assert (answer.status_code, answer.json()["status"]) == (200, "consumed")
    act_id = answer.json()["consumptions"][0]["acts"][-1]["id"]
    assert platform.get(f"{CONSUMPTIONS}{group['id']}/acts/{act_id}/")["consumption"] == answer.json()


@pytest.mark.parametrize("act", ["capture", "release", "refund"])
def test_what_is_not_there_is_a_404(platform: Platform, act: str) -> None:
    assert refusal_of(platform.ask(str(new_id()), act, BECAUSE)) == (404, "not_found")
    assert platform.client.post(f"{CONSUMPTIONS}7/{act}/", headers=platform.headers).status_code == 404
    assert platform.counts == (0, 0)


def test_an_act_of_something_else_is_a_404(platform: Platform, hold: str) -> None:
    other = platform.booked(lesson("s2"))
    for act_id in (other["acts"][0]["id"], str(new_id())):
        answer = platform.client.get(f"{CONSUMPTIONS}{hold}/acts/{act_id}/", headers=platform.headers)
        assert refusal_of(answer) == (404, "not_found")


def test_the_same_act_within_a_day_is_a_repeat(platform: Platform, taken: str) -> None:
    """A platform that lost the answer asks again, and the hours are given back once."""
    first = platform.ask(taken, "refund", {"hours": "0.5", **BECAUSE})
    again = platform.ask(taken, "refund", {"minutes": 30, "reason": "Again."})
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    platform.work()
    assert platform.ask(taken, "refund", {"minutes": 30, **BECAUSE}).json()["status"] == "done"
    assert platform.ask(taken, "refund", {"minutes": 29, **BECAUSE}).json()["id"] != first.json()["id"]
    platform.work()
    assert platform.get(f"{CONSUMPTIONS}{taken}/")["minutes_returned"] == 59
    with platform.begin() as session:
        session.connection().exec_driver_sql(
            "UPDATE consumption_act SET requested_at = requested_at - interval '24 hours 1 minute'"
        )
    assert "Idempotent-Replayed" not in platform.ask(taken, "refund", {"minutes": 30, **BECAUSE}).headers
    platform.work()
    assert platform.get(f"{CONSUMPTIONS}{taken}/")["minutes_returned"] == 89


def test_a_key_makes_two_equal_acts_two(platform: Platform, taken: str) -> None:
    """Twice half an hour is an hour, where the platform says that it means two."""
    first = platform.ask(taken, "refund", {"minutes": 30, **BECAUSE}, Idempotency_Key="k1")
    second = platform.ask(taken, "refund", {"minutes": 30, **BECAUSE}, Idempotency_Key="k2")
    again = platform.ask(taken, "refund", {"hours": "0.5", **BECAUSE}, Idempotency_Key="k1")
    assert first.json()["id"] != second.json()["id"]
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    platform.work()
    assert platform.get(f"{CONSUMPTIONS}{taken}/")["minutes_returned"] == 60


def test_a_key_is_for_one_act(platform: Platform, hold: str) -> None:
    other = platform.booked(held("s2"))["id"]
    platform.ask(hold, "capture", {"hours": 1}, Idempotency_Key="k1")
    for booking_id, act, body in (
        (hold, "capture", {}),
        (hold, "capture", {"minutes": 61}),
        (other, "capture", {"hours": 1}),
        (hold, "release", {}),
        (hold, "refund", {"hours": 1, **BECAUSE}),
    ):
        answer = platform.ask(booking_id, act, body, Idempotency_Key="k1")
        assert refusal_of(answer) == (422, "idempotency_mismatch"), (act, body)
    assert refusal_of(platform.book(lesson("s3"), Idempotency_Key="k1")) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("key", [{}, {"Idempotency_Key": "k1"}])
def test_a_refused_act_is_not_remembered(platform: Platform, hold: str, key: dict[str, str]) -> None:
    """What was refused may have become possible."""
    assert platform.asked_at_once(hold, "refund", BECAUSE, **key).status_code == 409
    platform.ask(hold, "capture")
    platform.work()
    answer = platform.asked_at_once(hold, "refund", BECAUSE, **key)
    assert (answer.status_code, answer.json()["status"]) == (200, "refunded")


@pytest.mark.parametrize("key", [{}, {"Idempotency_Key": "k1"}])
def test_twenty_at_once_are_one_act(platform: Platform, taken: str, key: dict[str, str]) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: platform.ask(taken, "refund", BECAUSE, **key), range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert platform.counts == (1, 2)


def test_one_key_for_two_bookings_at_once_is_for_one_of_them(platform: Platform) -> None:
    holds = [platform.booked(held(f"s{number}"))["id"] for number in range(4)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda one: platform.ask(one, "release", Idempotency_Key="k1"), holds * 4))
    assert sorted(answer.status_code for answer in answers) == [202] * 4 + [422] * 12
    assert platform.counts == (4, 5)


def test_an_act_does_not_wait_for_a_worker_that_has_its_record(platform: Platform, hold: str) -> None:
    """A batch may hold many records for a while; the door writes the wish down all the same."""
    with platform.begin() as session:
        session.connection().exec_driver_sql("SELECT FROM consumption FOR NO KEY UPDATE")
        answer = platform.ask(hold, "capture")
    assert answer.status_code == 202
