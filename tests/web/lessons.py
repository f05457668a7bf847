"""The tutoring platform at the door, and the worker that decides what it asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import redis
from httpx2 import Response
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.config import Settings
from billing.consumptions.drain import drain
from billing.db import Begin
from billing.messages import Change
from tests.support.factories import add_student
from tests.support.hints import KeptHints
from tests.support.hours import add_lot
from tests.support.leases import UnrenewedLeases
from tests.web.following import soon
from tests.web.support import API, Tokens

CONSUMPTIONS = f"{API}hour-consumptions/"
ANA: Mapping[str, Any] = {"external_id": "ana"}
EVA: Mapping[str, Any] = {"external_id": "eva"}


def lesson(session_id: str = "s1", /, **fields: Any) -> dict[str, Any]:
    """One hour and a half of Ana's; a field of None is left out."""
    given = {"student": ANA, "session_id": session_id, "hours": "1.50", **fields}
    return {name: value for name, value in given.items() if value is not None}


def lessons(session_id: str = "s1", /, **fields: Any) -> dict[str, Any]:
    return lesson(session_id, student=None, students=[ANA, EVA], **fields)


def held(session_id: str = "s1", /, **fields: Any) -> dict[str, Any]:
    return lesson(session_id, **{"mode": "hold", "ends_at": in_hours(1), **fields})


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


@dataclass
class Platform:
    client: TestClient
    begin: Begin
    settings: Settings
    tokens: Tokens
    sub: str = "platform"

    @property
    def headers(self) -> dict[str, str]:
        return self.tokens.of(self.sub, roles=["service"])

    def student(self, name: str = "ana", minutes: int = 600, *, days: float | None = 45) -> int:
        """Known to the platform by this name, with a lot that lives so many days."""
        now = datetime.now(UTC)
        student_id = add_student(self.begin, f"{name}@example.com", at=now, external_id=name)
        if minutes:
            expires_at = None if days is None else now + timedelta(days=days)
            add_lot(self.begin, student_id, minutes, at=now, expires_at=expires_at)
        return student_id

    def book(self, body: object = None, **headers: str) -> Response:
        given = lesson() if body is None else body
        return self.client.post(CONSUMPTIONS, json=given, headers={**self.headers, **_named(headers)})

    def ask(self, booking_id: str, act: str, body: object = None, **headers: str) -> Response:
        path = f"{CONSUMPTIONS}{booking_id}/{act}/"
        return self.client.post(path, json=body or {}, headers={**self.headers, **_named(headers)})

    def client_of(self, url: str) -> httpx2.Client:
        return httpx2.Client(base_url=url, headers=self.headers, timeout=20)

    @staticmethod
    def book_at(client: httpx2.Client, body: object, key: str | None) -> Response:
        return client.post(CONSUMPTIONS, json=body, headers={"Idempotency-Key": key} if key else {})

    def get(self, path: str) -> dict[str, Any]:
        answer = self.client.get(path, headers=self.headers)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def booked(self, body: object = None) -> dict[str, Any]:
        """Accepted and decided: the record."""
        path = self.book(body).headers["Location"]
        self.work()
        return self.get(path)

    def work(self, *, tell: bool = True) -> None:
        """One batch, as a worker does it; or without a word of it."""
        hints = KeptHints()
        drain(self.begin, UnrenewedLeases(), hints, now=datetime.now(UTC))
        if tell and hints.notified:
            with redis.Redis.from_url(self.settings.redis_url) as client:
                client.publish(Change.channel, Change.together(hints.notified))

    def booked_at_once(self, body: object = None, **headers: str) -> Response:
        """Waited for, while a worker does its part."""
        with soon(self.work):
            return self.book(body, Prefer="wait=10", **headers)

    def asked_at_once(self, booking_id: str, act: str, body: object = None, **headers: str) -> Response:
        with soon(self.work):
            return self.ask(booking_id, act, body, Prefer="wait=10", **headers)

    def rows(self, statement: str) -> Sequence[Any]:
        with self.begin() as session:
            return session.execute(text(statement)).all()

    @property
    def counts(self) -> tuple[int, int]:
        """Consumptions and acts."""
        (row,) = self.rows("SELECT (SELECT count(*) FROM consumption), (SELECT count(*) FROM consumption_act)")
        return row[0], row[1]


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def refusal_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_type"]
