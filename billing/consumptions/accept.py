"""Accepting bookings of hours: one statement for all requests that wait, each with its own answer.

A booking is made where all its students are known, none of them has this session already, and its key is new.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import BillingError, ConflictError, IdempotencyMismatchError, RefusedError, StudentUnknownError
from billing.reads.consumptions import standing_of
from billing.states import ConsumptionMode, ConsumptionState


@dataclass(frozen=True, slots=True)
class Named:
    """A student as the platform names him: by its own id, or by a normalised address."""

    external_id: str | None
    email: str | None


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """A validated wish. `members` are the ids of the consumptions to be and whose they are; one alone has `id` itself.

    `path` is the field that names the students.
    """

    id: UUID
    act_id: UUID
    members: Sequence[tuple[UUID, Named]]
    path: str
    session_id: str
    mode: ConsumptionMode
    minutes: int
    ends_at: datetime | None
    scope: str
    idempotency_key: str | None
    body_hash: bytes | None
    caller_sub: str
    request_id: str
    requested_at: datetime

    @property
    def is_over(self) -> bool:
        return self.ends_at is not None and self.ends_at <= self.requested_at

    @property
    def marks(self) -> set[tuple[object, str]]:
        """What no two bookings share: a student's session, and a key."""
        key = {(self.scope, self.idempotency_key)} if self.idempotency_key else set()
        return {(named, self.session_id) for _, named in self.members} | key


@dataclass(frozen=True, slots=True)
class AcceptedBooking:
    """A committed booking, new or made earlier, the act that decides it, and how it stands."""

    id: UUID
    act_id: UUID
    state: ConsumptionState
    is_replay: bool


# What is `known` was there when the statement began; what came in between makes a conflict, and another try sees it.
# Each look is for one row by its index: LIMIT keeps a plan that was made for empty tables from reading full ones.
ACCEPT = text("""
    WITH asked AS (
        SELECT given.*, keyed.group_id AS keyed_id, keyed.body_hash AS keyed_hash
        FROM unnest(
            CAST(:acts AS uuid[]), CAST(:groups AS uuid[]), CAST(:scopes AS text[]), CAST(:keys AS text[]),
            CAST(:hashes AS bytea[]), CAST(:sessions AS text[]), CAST(:modes AS text[]), CAST(:minutes AS int[]),
            CAST(:ends AS timestamptz[]), CAST(:subs AS text[]), CAST(:requests AS text[]),
            CAST(:instants AS timestamptz[])
        ) AS given (
            act_id, group_id, scope, idempotency_key, body_hash, session_id, mode, minutes, ends_at, caller_sub,
            request_id, requested_at
        )
        LEFT JOIN LATERAL (
            SELECT group_id, body_hash FROM consumption_act
            WHERE scope = given.scope AND idempotency_key = given.idempotency_key AND state <> 'refused' LIMIT 1
        ) AS keyed ON true
    ), member AS (
        SELECT named.act_id, named.id, named.place, student.id AS student_id,
            booked.group_id AS booked_id, booked.minutes, booked.mode
        FROM unnest(
            CAST(:members AS uuid[]), CAST(:members_acts AS uuid[]), CAST(:members_sessions AS text[]),
            CAST(:external_ids AS text[]), CAST(:emails AS text[])
        ) WITH ORDINALITY AS named (id, act_id, session_id, external_id, email, place)
        CROSS JOIN LATERAL (
            SELECT coalesce(
                (SELECT id FROM student WHERE external_id = named.external_id LIMIT 1),
                (SELECT id FROM student WHERE email = named.email AND email_verified LIMIT 1),
                (SELECT id FROM student WHERE email = named.email AND external_id IS NULL LIMIT 1)
            ) AS id
        ) AS student
        LEFT JOIN LATERAL (
            SELECT group_id, minutes, mode FROM consumption
            WHERE student_id = student.id AND session_id = named.session_id AND state <> 'refused' LIMIT 1
        ) AS booked ON true
    ), fresh AS (
        SELECT * FROM asked
        WHERE keyed_id IS NULL AND coalesce(ends_at > requested_at, true) AND act_id IN (
            SELECT act_id FROM member GROUP BY act_id
            HAVING count(booked_id) = 0 AND count(DISTINCT student_id) = count(*)
        )
    ), made AS (
        INSERT INTO consumption (
            id, group_id, student_id, session_id, mode, minutes, ends_at, state, caller_sub, requested_at
        )
        SELECT member.id, fresh.group_id, member.student_id, fresh.session_id, fresh.mode, fresh.minutes,
            fresh.ends_at, 'requested', fresh.caller_sub, fresh.requested_at
        FROM fresh JOIN member USING (act_id)
        ORDER BY member.student_id, fresh.session_id
        ON CONFLICT (student_id, session_id) WHERE state <> 'refused' DO NOTHING
        RETURNING id
    ), opened AS (
        INSERT INTO consumption_act (
            id, act, group_id, scope, idempotency_key, body_hash, request_id, state, requested_at, due_at, hint_at
        )
        SELECT act_id, 'book', group_id, scope, idempotency_key, body_hash, request_id, 'requested', requested_at,
            clock_timestamp(), clock_timestamp() + interval '2 seconds'
        FROM fresh ORDER BY scope, idempotency_key
        ON CONFLICT (scope, idempotency_key) WHERE state <> 'refused' DO NOTHING
        RETURNING id
    )
    SELECT asked.act_id, member.student_id, made.id IS NOT NULL AND opened.id IS NOT NULL AS is_made,
        asked.keyed_id, asked.keyed_hash, member.booked_id, member.minutes, member.mode,
        known.group_id, known.act_id AS known_act_id, known.states
    FROM asked
    JOIN member USING (act_id)
    LEFT JOIN made ON made.id = member.id
    LEFT JOIN opened ON opened.id = asked.act_id
    LEFT JOIN LATERAL (
        SELECT act.group_id, act.id AS act_id,
            (SELECT array_agg(state::text) FROM consumption WHERE group_id = act.group_id) AS states
        FROM consumption_act AS act
        WHERE act.group_id = coalesce(asked.keyed_id, member.booked_id) AND act.act = 'book' LIMIT 1
    ) AS known ON true
    ORDER BY member.place
""")


async def accept(
    connection: AsyncConnection, requests: Sequence[BookingRequest]
) -> list[AcceptedBooking | BillingError]:
    """Make a booking of each request, or say why not; the answers are in the order of the requests.

    Answers are AcceptedBooking, or one of IdempotencyMismatchError (for keys), StudentUnknownError, RefusedError and
    IdempotencyMismatchError (for sessions), looked for in that order. Raises ConflictError where another transaction
    was faster: once this one is rolled back, the same again sees what that one made.
    """
    firsts, doubles = _apart(requests)
    answers = await _accept(connection, firsts)
    if doubles:
        answers |= await _accept(connection, doubles)
    return [answers[request.act_id] for request in requests]


def _apart(requests: Iterable[BookingRequest]) -> tuple[list[BookingRequest], list[BookingRequest]]:
    """Those that share nothing with one before them, and the others, which find what became of the former."""
    seen: set[tuple[object, str]] = set()
    firsts: list[BookingRequest] = []
    doubles: list[BookingRequest] = []
    for request in requests:
        (firsts if seen.isdisjoint(request.marks) else doubles).append(request)
        seen |= request.marks
    return firsts, doubles


async def _accept(
    connection: AsyncConnection, requests: Sequence[BookingRequest]
) -> dict[UUID, AcceptedBooking | BillingError]:
    found: dict[UUID, list[RowMapping]] = {request.act_id: [] for request in requests}
    for row in (await connection.execute(ACCEPT, _columns(requests))).mappings():
        found[row["act_id"]].append(row)
    return {request.act_id: _answer(request, found[request.act_id]) for request in requests}


def _columns(requests: Sequence[BookingRequest]) -> Mapping[str, Any]:
    members = [(request, member_id, named) for request in requests for member_id, named in request.members]
    return {
        "acts": [request.act_id for request in requests],
        "groups": [request.id for request in requests],
        "scopes": [request.scope for request in requests],
        "keys": [request.idempotency_key for request in requests],
        "hashes": [request.body_hash for request in requests],
        "sessions": [request.session_id for request in requests],
        "modes": [request.mode.value for request in requests],
        "minutes": [request.minutes for request in requests],
        "ends": [request.ends_at for request in requests],
        "subs": [request.caller_sub for request in requests],
        "requests": [request.request_id for request in requests],
        "instants": [request.requested_at for request in requests],
        "members": [member_id for _, member_id, _ in members],
        "members_acts": [request.act_id for request, _, _ in members],
        "members_sessions": [request.session_id for request, _, _ in members],
        "external_ids": [named.external_id for _, _, named in members],
        "emails": [named.email for _, _, named in members],
    }


def _answer(request: BookingRequest, rows: Sequence[RowMapping]) -> AcceptedBooking | BillingError:
    first = rows[0]
    if first["keyed_id"] and first["keyed_hash"] == request.body_hash:
        return _known(first)
    if refusal := _refusal(request, rows):
        return refusal
    if first["booked_id"]:
        return _known(first)
    if not all(row["is_made"] for row in rows):
        raise ConflictError("the same was booked at the same time")
    return AcceptedBooking(request.id, request.act_id, ConsumptionState.REQUESTED, is_replay=False)


def _refusal(request: BookingRequest, rows: Sequence[RowMapping]) -> BillingError | None:
    students = [row["student_id"] for row in rows]
    if rows[0]["keyed_id"]:
        return IdempotencyMismatchError("this Idempotency-Key came with another body before")
    if None in students:
        place = f"{request.path}.{students.index(None)}" if request.path == "students" else request.path
        return StudentUnknownError(f"{place}: no such student is known")
    if len(set(students)) < len(students):
        return RefusedError(f"{request.path}: names the same student twice")
    if any(row["booked_id"] for row in rows):
        is_same = _is_the_same(request, rows)
        return None if is_same else IdempotencyMismatchError("this session was booked before, and otherwise")
    return RefusedError("ends_at: must not be over") if request.is_over else None


def _is_the_same(request: BookingRequest, rows: Sequence[RowMapping]) -> bool:
    """All of one booking's students and no others, with its hours and its mode."""
    facts = {(row["booked_id"], row["minutes"], row["mode"]) for row in rows}
    is_one = facts == {(rows[0]["booked_id"], request.minutes, request.mode)}
    return is_one and len(rows[0]["states"] or ()) == len(rows)


def _known(row: RowMapping) -> AcceptedBooking:
    return AcceptedBooking(row["group_id"], row["known_act_id"], standing_of(row["states"]), is_replay=True)
