"""What is no wish about hours is a clear 400 that names the field, and leaves nothing."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.ids import new_id
from tests.web.lessons import ANA, EVA, Platform, held, in_hours, lesson, refusal_of
from tests.web.support import Tokens

MANY = [{"external_id": f"s{number}"} for number in range(101)]

WRONG_HOURS: dict[str, Any] = {
    "zero": 0,
    "zero in words": "0",
    "zero with places": "0.00",
    "negative": -1,
    "negative in words": "-1.50",
    "finer than a minute": "1.51",
    "a third": "0.3333",
    "half a minute": 0.008333333,
    "absurd": 1001,
    "absurd in words": "1000.5",
    "huge": 1e300,
    "tiny": 1e-300,
    "words": "one",
    "empty": "",
    "spaces": " 1.5",
    "exponent": "1e1",
    "comma": "1,5",
    "other digits": "\u0661",
    "nothing but a point": ".",
    "a list": [1],
    "an object": {},
    "a truth": True,
    "not a number": "NaN",
    "infinite": "Infinity",
}
WRONG_MINUTES: dict[str, Any] = {
    "zero": 0,
    "negative": -90,
    "absurd": 60_001,
    "a fraction": 90.5,
    "a float": 90.0,
    "words": "90",
    "a truth": True,
    "a list": [],
    "huge": 10**18,
}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no student": (lesson(student=None), "students"),
    "both": (lesson(students=[EVA]), "students"),
    "no name": (lesson(student={}), "student.external_id"),
    "two names": (lesson(student={**ANA, "email": "ana@example.com"}), "student.external_id"),
    "a student in words": (lesson(student="ana"), "student"),
    "no address": (lesson(student={"email": "ana"}), "student.email"),
    "an address in a list": (lesson(student={"email": ["ana@example.com"]}), "student.email"),
    "an id in numbers": (lesson(student={"external_id": 7}), "student.external_id"),
    "an empty id": (lesson(student={"external_id": ""}), "student.external_id"),
    "a long id": (lesson(student={"external_id": "x" * 256}), "student.external_id"),
    "an id with NUL": (lesson(student={"external_id": "a\0b"}), "student.external_id"),
    "no students": (lesson(student=None, students=[]), "students"),
    "too many students": (lesson(student=None, students=MANY), "students"),
    "students in words": (lesson(student=None, students="ana"), "students"),
    "students in an object": (lesson(student=None, students=ANA), "students"),
    "a wrong one of them": (lesson(student=None, students=[ANA, {}]), "students.1.external_id"),
    "one twice": (lesson(student=None, students=[ANA, EVA, ANA]), "students"),
    "no session": ({name: value for name, value in lesson().items() if name != "session_id"}, "session_id"),
    "an empty session": (lesson(""), "session_id"),
    "a long session": (lesson("x" * 201), "session_id"),
    "a session with a space": (lesson("s 1"), "session_id"),
    "a session with NUL": (lesson("s\0"), "session_id"),
    "a session on two lines": (lesson("s\n1"), "session_id"),
    "a session in numbers": ({**lesson(), "session_id": 1}, "session_id"),
    "neither hours nor minutes": (lesson(hours=None), "minutes"),
    "both hours and minutes": (lesson(minutes=90), "minutes"),
    "another mode": (lesson(mode="rent"), "mode"),
    "a mode in numbers": (lesson(mode=1), "mode"),
    "a hold without an end": (held(ends_at=None), "ends_at"),
    "an end without a zone": (held(ends_at="2026-03-02T12:00:00"), "ends_at"),
    "a day": (held(ends_at="2026-03-02"), "ends_at"),
    "no day at all": (held(ends_at="2026-02-30T12:00:00Z"), "ends_at"),
    "before all time": (held(ends_at="0001-01-01T00:00:00+14:00"), "ends_at"),
    "an end in numbers": (held(ends_at=1_772_452_800), "ends_at"),
    "an end in a week's form": (held(ends_at="2026-W10-1T12:00:00Z"), "ends_at"),
    "over": (held(ends_at=in_hours(-1)), "ends_at"),
    "in two years": (held(ends_at=in_hours(2 * 8766)), "ends_at"),
}


@pytest.fixture
def platform(client: TestClient, begin: Begin, settings: Settings, tokens: Tokens) -> Platform:
    platform = Platform(client, begin, settings, tokens)
    platform.student("ana")
    return platform


def complaint(answer: Any) -> str:
    assert refusal_of(answer) == (400, "validation_error"), answer.text
    (path,) = answer.json()["field_errors"]
    assert answer.json()["message"].startswith(f"{path}: ")
    return str(path)


def test_every_wrong_body_is_a_400_that_names_the_field(platform: Platform) -> None:
    """The platform's people read which field is wrong, and nothing was booked."""
    cases = {
        **WRONG,
        **{f"hours: {name}": (lesson(hours=value), "hours") for name, value in WRONG_HOURS.items()},
        **{f"minutes: {name}": (lesson(hours=None, minutes=value), "minutes") for name, value in WRONG_MINUTES.items()},
    }
    found = {name: complaint(platform.book(body)) for name, (body, _) in cases.items()}
    assert found == {name: path for name, (_, path) in cases.items()}
    assert platform.counts == (0, 0)


@pytest.mark.parametrize("act", ["capture", "refund"])
def test_every_wrong_amount_of_an_act_is_a_400(platform: Platform, act: str) -> None:
    booking_id = platform.book().json()["id"]
    because = {"reason": "x"} if act == "refund" else {}
    for field, wrong in (("hours", WRONG_HOURS), ("minutes", WRONG_MINUTES)):
        for name, value in wrong.items():
            answer = platform.ask(booking_id, act, {field: value, **because})
            assert complaint(answer) == field, name
    assert complaint(platform.ask(booking_id, act, {"hours": 1, "minutes": 60, **because})) == "minutes"
    assert platform.counts == (1, 1)


@pytest.mark.parametrize("reason", [None, "", "   ", "x" * 501, 7, ["x"], "a\0b"])
def test_a_refund_needs_a_reason(platform: Platform, reason: object) -> None:
    body = {} if reason is None else {"reason": reason}
    assert complaint(platform.ask(str(new_id()), "refund", body)) == "reason"


@pytest.mark.parametrize("hours", ["1.5", "1.50", "01.500", 1.5, "1.500000000"])
def test_hours_may_be_written_in_any_usual_way(platform: Platform, hours: object) -> None:
    path = platform.book(lesson(hours=hours)).headers["Location"]
    assert platform.get(path)["minutes"] == 90


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [({"hours": "0.05"}, 3), ({"hours": "0.016666666"}, None), ({"hours": 1000}, 60_000), ({"minutes": 1}, 1)],
)
def test_the_bounds_are_inclusive(platform: Platform, fields: dict[str, Any], minutes: int | None) -> None:
    answer = platform.book(lesson(**{"hours": None, **fields}))
    assert answer.status_code == (400 if minutes is None else 202)
    if minutes is not None:
        assert platform.get(answer.headers["Location"])["minutes"] == minutes


def test_a_hundred_students_fit(platform: Platform) -> None:
    answer = platform.book(lesson(student=None, students=MANY[:100]))
    assert refusal_of(answer) == (404, "student_unknown")


def test_the_longest_names_fit(platform: Platform) -> None:
    answer = platform.book(lesson("\U0001f469" * 200))
    assert answer.status_code == 202
    assert platform.get(answer.headers["Location"])["session_id"] == "\U0001f469" * 200


def test_a_wrong_body_is_refused_as_everywhere(platform: Platform) -> None:
    headers = platform.headers
    path = "/api/finances/api/hour-consumptions/"
    assert platform.client.post(path, content=b"{}", headers=headers).status_code == 415
    json = {**headers, "Content-Type": "application/json"}
    assert platform.client.post(path, content=b"[]", headers=json).status_code == 400
    assert platform.client.post(path, content=b"{" + b" " * 70_000 + b"}", headers=json).status_code == 413
    assert platform.client.put(path, headers=headers).status_code == 405


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_key_that_is_none_is_refused(platform: Platform, key: str) -> None:
    assert complaint(platform.book(Idempotency_Key=key)) == "Idempotency-Key"
    assert complaint(platform.ask(str(new_id()), "release", Idempotency_Key=key)) == "Idempotency-Key"
