"""Hours for a session are asked for once, decided once, and shown as they stand."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.testclient import TestClient

from billing.config import Settings
from billing.consumptions.accept import AcceptedBooking, accept
from billing.db import Begin, begin_async
from billing.ids import new_id
from billing.messages import HoursWaiting
from tests.billing.test_accept_hours import BY_ADDRESS, BY_ID, door, wish
from tests.support.doors import running_doors
from tests.support.factories import add_student
from tests.support.hours import add_lot
from tests.support.records import bought
from tests.support.statements import counted
from tests.web.lessons import ANA, CONSUMPTIONS, EVA, Platform, held, in_hours, lesson, lessons, refusal_of
from tests.web.reading import written
from tests.web.support import API, Tokens
from web.hour_acceptance import HourAcceptance
from web.purchase_reads import Ask


@pytest.fixture
def platform(client: TestClient, begin: Begin, settings: Settings, tokens: Tokens) -> Platform:
    return Platform(client, begin, settings, tokens)


def test_a_wish_is_committed_and_a_worker_hinted(platform: Platform, valkey_url: str) -> None:
    platform.student()
    answer = platform.book()
    path = answer.headers["Location"]
    booking_id = path.split("/")[-2]
    assert answer.status_code == 202
    assert answer.json() == {"success": True, "id": booking_id, "status": "requested", "status_url": path}
    assert (path, answer.headers["Retry-After"]) == (f"{CONSUMPTIONS}{booking_id}/", "1")
    assert platform.counts == (1, 1)
    deadline = time.monotonic() + 5
    with redis.Redis.from_url(valkey_url) as client:
        while not client.llen("hours"):
            assert time.monotonic() < deadline


def test_who_waits_gets_the_record(platform: Platform, begin: Begin) -> None:
    """One request takes the hours and says from which packages."""
    now = datetime.now(UTC)
    student_id = platform.student(minutes=60, days=3)
    purchase = bought(begin, student_id, at=now)
    answer = platform.booked_at_once(lesson(hours=None, minutes=80))
    record = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert answer.headers["Location"] == f"{CONSUMPTIONS}{record['id']}/"
    times = {"requested_at": record["requested_at"], "decided_at": record["decided_at"]}
    assert written(now) <= times["requested_at"] <= times["decided_at"]
    act = {"id": record["acts"][0]["id"], "act": "book", "status": "done", "minutes": None, "hours": None}
    assert record == {
        "success": True,
        "id": record["id"],
        "session_id": "s1",
        "mode": "consume",
        "status": "consumed",
        "minutes": 80,
        "hours": "1.33",
        "minutes_held": 0,
        "hours_held": "0.00",
        "minutes_consumed": 80,
        "hours_consumed": "1.33",
        "minutes_returned": 0,
        "hours_returned": "0.00",
        "ends_at": None,
        "student": {"id": student_id, "email": "ana@example.com", "name": "Ana", "external_id": "ana"},
        "packages": [
            {"transaction_id": None, "minutes": 60, "hours": "1.00"},
            {"transaction_id": purchase.transaction_id, "minutes": 20, "hours": "0.33"},
        ],
        **times,
        "acts": [{**act, **times}],
    }
    assert platform.get(answer.headers["Location"]) == record


def test_when_a_lesson_ends_does_not_matter_to_what_is_taken_at_once(platform: Platform) -> None:
    """A platform that always says it is understood; told with it or without, it is the same booking."""
    platform.student()
    record = platform.booked(lesson(ends_at=in_hours(1)))
    assert (record["status"], record["ends_at"]) == ("consumed", None)
    assert platform.booked(lesson())["id"] == record["id"]


def test_held_hours_are_shown_as_held(platform: Platform) -> None:
    platform.student()
    tomorrow = datetime.now(timezone(timedelta(hours=1))) + timedelta(days=1)
    record = platform.booked(held(ends_at=tomorrow.isoformat()))
    assert (record["mode"], record["status"], record["ends_at"]) == ("hold", "held", written(tomorrow.astimezone(UTC)))
    assert (record["hours_held"], record["hours_consumed"]) == ("1.50", "0.00")
    assert record["packages"] == [{"transaction_id": None, "minutes": 90, "hours": "1.50"}]


def test_a_group_is_booked_together(platform: Platform) -> None:
    """Each student's hours are a record of their own, under the group's name or their own."""
    platform.student("ana")
    platform.student("eva")
    answer = platform.booked_at_once(lessons())
    group = answer.json()
    assert answer.status_code == 201
    assert (group["session_id"], group["mode"], group["status"]) == ("s1", "consume", "consumed")
    assert [record["student"]["external_id"] for record in group["consumptions"]] == ["ana", "eva"]
    assert {record["hours_consumed"] for record in group["consumptions"]} == {"1.50"}
    assert len({group["id"], *(record["id"] for record in group["consumptions"])}) == 3
    for record in group["consumptions"]:
        assert platform.get(f"{CONSUMPTIONS}{record['id']}/") == record


def test_a_group_is_all_or_nothing(platform: Platform) -> None:
    platform.student("ana")
    platform.student("eva", minutes=60)
    answer = platform.booked_at_once(lessons())
    assert refusal_of(answer) == (409, "insufficient_balance")
    (path,) = {f"{CONSUMPTIONS}{row[0]}/" for row in platform.rows("SELECT group_id FROM consumption")}
    group = platform.get(path)
    assert (group["status"], [record["status"] for record in group["consumptions"]]) == ("refused", ["refused"] * 2)


@pytest.mark.parametrize(
    ("minutes", "days", "error_type"),
    [(60, 45, "insufficient_balance"), (600, -1, "package_expired"), (0, None, "no_packages")],
)
def test_a_refusal_says_why(platform: Platform, minutes: int, days: float | None, error_type: str) -> None:
    """The words are those of the check before a booking; who did not wait finds them in the record."""
    platform.student(minutes=minutes, days=days)
    path = platform.book().headers["Location"]
    answer = platform.booked_at_once()
    assert refusal_of(answer) == (409, error_type)
    assert answer.headers["Preference-Applied"] == "wait=10"
    record = platform.get(path)
    assert (record["status"], record["error_type"], record["packages"]) == ("refused", error_type, [])
    assert (record["acts"][0]["status"], record["acts"][0]["error_type"]) == ("refused", error_type)


def test_a_student_is_found_by_either_name(platform: Platform, begin: Begin) -> None:
    """A guest has no other name than his address; an account has his address once he has proved it."""
    now = datetime.now(UTC)
    account = platform.student("ana")
    guest = add_student(begin, "guest@example.com", at=now)
    with begin() as session:
        session.connection().exec_driver_sql("UPDATE student SET email_verified = true WHERE external_id = 'ana'")
    for number, (name, expected) in enumerate(
        [(ANA, account), ({"email": " ANA@example.com"}, account), ({"email": "guest@example.com"}, guest)]
    ):
        path = platform.book(lesson(f"s{number}", student=name)).headers["Location"]
        assert platform.get(path)["student"]["id"] == expected


def test_a_student_whom_nobody_knows_is_a_404_and_leaves_nothing(platform: Platform) -> None:
    """Of an address that an account never proved, nobody knows whose it is."""
    platform.student("ana")
    unknown = [EVA, {"email": "eva@example.com"}, {"email": "ana@example.com"}, {"external_id": "ANA"}]
    for name in unknown:
        assert refusal_of(platform.book(lesson(student=name))) == (404, "student_unknown")
    answer = platform.book(lessons())
    assert (refusal_of(answer), answer.json()["message"].split(":")[0]) == ((404, "student_unknown"), "students.1")
    assert platform.counts == (0, 0)


def test_the_same_again_is_the_same_record(platform: Platform) -> None:
    """A platform that lost the answer asks again, in whatever words."""
    platform.student("ana")
    first = platform.book()
    again = [platform.book(lesson(hours=None, minutes=90)), platform.book(lesson(student=None, students=[ANA]))]
    assert {answer.headers["Idempotent-Replayed"] for answer in again} == {"true"}
    assert {answer.json()["id"] for answer in again} == {first.json()["id"]}
    platform.work()
    done = platform.book()
    assert (done.status_code, done.json()["status"]) == (202, "consumed")
    assert (waited := platform.book(Prefer="wait=10")).status_code == 201
    assert waited.json()["id"] == first.json()["id"]
    assert platform.counts == (1, 1)


def test_the_same_group_again_is_the_same_group(platform: Platform) -> None:
    platform.student("ana")
    platform.student("eva")
    first, again = platform.book(lessons()), platform.book(lesson(student=None, students=[EVA, ANA]))
    assert (again.status_code, again.json()) == (202, first.json())
    assert platform.counts == (2, 1)


def test_a_session_is_booked_in_one_way(platform: Platform) -> None:
    """Other hours, another mode, or with others: one of the two is a mistake, and nobody is charged for it."""
    for name in ("ana", "eva", "ines"):
        platform.student(name)
    platform.book()
    platform.book(lessons("s2"))
    three = lesson("s2", student=None, students=[ANA, EVA, {"external_id": "ines"}])
    others = [
        lesson(hours="1.25"),
        held(),
        lessons(),
        lesson("s2"),
        lesson("s2", student=EVA),
        three,
        lessons("s2", hours="2"),
    ]
    for body in others:
        assert refusal_of(platform.book(body)) == (422, "idempotency_mismatch"), body
    assert platform.counts == (3, 2)


def test_what_was_refused_may_be_tried_again(platform: Platform, begin: Begin) -> None:
    """The student buys, and the same lesson is booked: a refusal is not remembered, with a key or without."""
    student_id = platform.student(minutes=0)
    for key in ({}, {"Idempotency_Key": "k1"}):
        assert platform.booked_at_once(**key).status_code == 409
    add_lot(begin, student_id, 600, at=datetime.now(UTC), expires_at=None)
    answer = platform.booked_at_once(Idempotency_Key="k1")
    assert (answer.status_code, answer.json()["status"]) == (201, "consumed")
    assert "Idempotent-Replayed" not in answer.headers


def test_a_key_is_for_one_body(platform: Platform) -> None:
    platform.student("ana")
    first = platform.book(Idempotency_Key="k1")
    again = platform.book(lesson(hours=None, minutes=90), Idempotency_Key="k1")
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    booking_id = first.json()["id"]
    for other in (lesson("s2"), lesson(hours="2"), held("s2"), lesson(student=EVA)):
        assert refusal_of(platform.book(other, Idempotency_Key="k1")) == (422, "idempotency_mismatch"), other
    assert refusal_of(platform.ask(booking_id, "release", Idempotency_Key="k1")) == (422, "idempotency_mismatch")
    assert platform.counts == (1, 1)


def test_keys_of_different_callers_never_meet(platform: Platform) -> None:
    platform.student("ana")
    first = platform.book(Idempotency_Key="k1")
    platform.sub = "another"
    second = platform.book(lesson("s2"), Idempotency_Key="k1")
    assert (second.status_code, first.json()["id"] == second.json()["id"]) == (202, False)


def test_a_student_is_named_once(platform: Platform, begin: Begin) -> None:
    """By one name, or by two: he would pay twice for one lesson."""
    platform.student("ana")
    with begin() as session:
        session.connection().exec_driver_sql("UPDATE student SET email_verified = true")
    for names in ([ANA, ANA], [ANA, {"email": "ana@example.com"}]):
        answer = platform.book(lesson(student=None, students=names))
        assert (refusal_of(answer), list(answer.json()["field_errors"])) == ((400, "validation_error"), ["students"])
    assert platform.counts == (0, 0)


def test_a_hold_of_a_session_that_is_over_is_refused_but_repeated(platform: Platform) -> None:
    """It could not be captured in time; one that was held in time is found again later."""
    platform.student()
    answer = platform.book(held(ends_at=in_hours(-0.001)))
    assert (refusal_of(answer), list(answer.json()["field_errors"])) == ((400, "validation_error"), ["ends_at"])
    assert platform.counts == (0, 0)
    body = held(ends_at=in_hours(0.0002))
    first = platform.book(body, Idempotency_Key="k1")
    time.sleep(0.8)
    again = platform.book(body, Idempotency_Key="k1"), platform.book(body)
    assert [answer.json()["id"] for answer in again] == [first.json()["id"]] * 2


@pytest.mark.parametrize("body", [lesson(), lessons()])
def test_many_at_once_make_one_booking(platform: Platform, body: Any) -> None:
    platform.student("ana")
    platform.student("eva")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: platform.book(body), range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19
    assert platform.counts == (len(body.get("students", [1])), 1)


def test_two_names_of_one_student_in_one_flush_make_one_booking(
    platform: Platform, begin: Begin, database_url: str, now: datetime
) -> None:
    """Only the database knows that they are one: the crowd is undone, and each of it tried alone."""
    platform.student("ana")
    with begin() as session:
        session.connection().exec_driver_sql("UPDATE student SET email_verified = true")
    wishes = [wish(BY_ID, at=now), wish(BY_ADDRESS, at=now), wish(BY_ID, at=now, session_id="s2")]
    sent: list[object] = []

    async def scene() -> list[AcceptedBooking]:
        async with door(database_url) as engine:
            hours = HourAcceptance(changing(engine), sent.append, 2)
            return list(await asyncio.gather(*map(hours.book, wishes)))

    first, second, other = asyncio.run(scene())
    assert (second.id, second.is_replay) == (first.id, True)
    assert (other.id, other.is_replay) == (wishes[2].id, False)
    assert platform.counts == (2, 2)
    assert sent == [HoursWaiting()] * 2


def changing(engine: AsyncEngine) -> Ask:
    async def change(act: Callable[[AsyncConnection], Awaitable[Any]], /) -> Any:
        async with begin_async(engine) as connection:
            return await act(connection)

    return change


def test_what_another_door_books_meanwhile_is_the_answer(platform: Platform, database_url: str, now: datetime) -> None:
    """The one that came second asks the database again by itself: its caller gets the first one's booking."""
    platform.student("ana")
    mine, theirs = wish(BY_ID, at=now), wish(BY_ID, at=now)
    sent: list[object] = []

    async def scene() -> AcceptedBooking:
        async with door(database_url) as engine:
            async with begin_async(engine) as connection:
                await accept(connection, [theirs])
                asking = asyncio.create_task(HourAcceptance(changing(engine), sent.append, 2).book(mine))
                await asyncio.sleep(0.2)
                assert not asking.done()
            return await asking

    answer = asyncio.run(scene())
    assert (answer.id, answer.is_replay, sent) == (theirs.id, True, [])
    assert platform.counts == (1, 1)


def test_two_doors_at_once_make_one_booking(platform: Platform, settings: Settings) -> None:
    """Overlapping groups, singles and keys, at two processes: the first of each session wins, whoever it is."""
    platform.student("ana")
    platform.student("eva")
    bodies = [(lesson("s1"), "k1"), (lessons("s2"), None), (lesson("s3", hours="2"), None), (lessons("s3"), "k2")] * 10
    with running_doors(settings, settings.state_dir, 2) as doors, ThreadPoolExecutor(16) as pool, ExitStack() as stack:
        clients = [stack.enter_context(platform.client_of(door.url)) for door in doors]
        asked = [(clients[number % 2], *body) for number, body in enumerate(bodies)]
        answers = list(pool.map(lambda one: platform.book_at(*one), asked))
    by_body = [answers[number::4] for number in range(4)]
    for same in by_body[:2]:
        assert {answer.status_code for answer in same} == {202}
        assert len({answer.json()["id"] for answer in same}) == 1
    third = {answer.status_code for same in by_body[2:] for answer in same}
    assert third == {202, 422}
    assert platform.counts[1] == 3


READERS = ("service", "staff", "admin")
PATHS = {
    "": ("POST", ("service",)),
    "{id}/": ("GET", READERS),
    "{id}/acts/{id}/": ("GET", READERS),
    "{id}/capture/": ("POST", ("service",)),
    "{id}/release/": ("POST", ("service",)),
    "{id}/refund/": ("POST", ("service",)),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("role", [None, "student", "guardian", "staff", "admin", "service"])
def test_only_the_platform_moves_hours(shared_client: TestClient, tokens: Tokens, path: str, role: str | None) -> None:
    """Staff look; students do neither. Whoever may is told what is wrong with his request, or that nothing is there."""
    method, roles = PATHS[path]
    bearer = tokens.of("caller", roles=[role]) if role else {}
    body = {"reason": "x"} if path else {}
    asked = f"{CONSUMPTIONS}{path.replace('{id}', str(new_id()))}"
    answer = shared_client.request(method, asked, headers=bearer, json=body if method == "POST" else None)
    allowed = (404, "not_found") if path else (400, "validation_error")
    refused = (403, "permission_denied") if role else (401, "authentication_required")
    assert refusal_of(answer) == (allowed if role in roles else refused)


def test_both_prefixes_answer(platform: Platform) -> None:
    platform.student()
    path = platform.book().headers["Location"]
    assert platform.get(path.replace(API, "/api/finances/")) == platform.get(path)


def test_each_request_is_one_statement(platform: Platform) -> None:
    """A wish, its repeat, a look: one round trip each, however many students and acts there are."""
    platform.student("ana")
    platform.student("eva")
    path = platform.book(lessons()).headers["Location"]
    platform.work()
    platform.ask(path.split("/")[-2], "refund", {"reason": "x"})
    for ask in (lambda: platform.book(lessons("s2")), lambda: platform.book(lessons("s2")), lambda: platform.get(path)):
        with counted() as statements:
            ask()
        assert len(statements) == 1, statements


def test_what_expired_meanwhile_is_still_where_it_was_taken_from(platform: Platform, begin: Begin) -> None:
    """A lesson remembers its packages for as long as anybody asks."""
    platform.student(days=1)
    record = platform.booked()
    with begin() as session:
        past = datetime.now(UTC) - timedelta(days=1)
        session.connection().exec_driver_sql("UPDATE hour_lot SET expires_at = %s", (past,))
    assert platform.get(f"{CONSUMPTIONS}{record['id']}/")["packages"] == record["packages"]
