"""Accepting what is to be done with booked hours: captured, released, given back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import ConflictError, IdempotencyMismatchError
from billing.states import ActState, ConsumptionActKind


@dataclass(frozen=True, slots=True)
class ActRequest:
    """A validated wish about the consumption or the group `subject`; `minutes` is None where the whole is meant."""

    id: UUID
    act: ConsumptionActKind
    subject: UUID
    minutes: int | None
    reason: str | None
    scope: str
    idempotency_key: str | None
    body_hash: bytes | None
    request_id: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class AcceptedAct:
    """A committed act, new or asked for earlier, and how it stands."""

    id: UUID
    state: ActState
    is_replay: bool


# The lock is on the booking's name and not on its rows: acts on one booking come one after the other, and none of
# them waits for a worker that settles the one before.
LOCK = text("""
    SELECT id, group_id, pg_advisory_xact_lock(hashtextextended(CAST(group_id AS text), 0)) AS locked
    FROM consumption WHERE id = :subject OR group_id = :subject
""")

REQUEST = """
    WITH known AS (
        SELECT id, state, body_hash FROM consumption_act WHERE state <> 'refused' AND {same}
        ORDER BY requested_at DESC LIMIT 1
    ), made AS (
        INSERT INTO consumption_act (
            id, act, group_id, consumption_id, minutes, reason, scope, idempotency_key, body_hash, request_id, state,
            requested_at, due_at, hint_at
        )
        SELECT :id, :act, :group_id, :consumption_id, :minutes, :reason, :scope, :idempotency_key, :body_hash,
            :request_id, 'requested', :requested_at, clock_timestamp(), clock_timestamp() + interval '2 seconds'
        WHERE NOT EXISTS (SELECT FROM known)
        ON CONFLICT (scope, idempotency_key) WHERE state <> 'refused' DO NOTHING
        RETURNING id, state, body_hash
    )
    SELECT id, state, body_hash, true AS is_replay FROM known
    UNION ALL SELECT id, state, body_hash, false FROM made
"""
SAME_KEY = "scope = :scope AND idempotency_key = :idempotency_key"
SAME_WISH = """group_id = :group_id AND act = :act AND minutes IS NOT DISTINCT FROM CAST(:minutes AS int)
    AND consumption_id IS NOT DISTINCT FROM CAST(:consumption_id AS uuid)
    AND requested_at > CAST(:requested_at AS timestamptz) - interval '24 hours'"""


def _request(same: str) -> TextClause:
    return text(REQUEST.replace("{same}", same))


BY_KEY, BY_WISH = _request(SAME_KEY), _request(SAME_WISH)


async def accept_act(connection: AsyncConnection, request: ActRequest) -> AcceptedAct | None:
    """The act, or None where there is no such consumption. A refused act is not remembered.

    Raises IdempotencyMismatchError for a key that came with another wish, and ConflictError where that wish came at
    the same time: the same again sees it.
    """
    subject = (await connection.execute(LOCK, {"subject": request.subject})).mappings().all()
    if not subject:
        return None
    given = {**asdict(request), **_named(request.subject, subject[0])}
    statement = BY_KEY if request.idempotency_key else BY_WISH
    row = (await connection.execute(statement, given)).mappings().one_or_none()
    if row is None:
        raise ConflictError("this Idempotency-Key came with another wish at the same time")
    if row["body_hash"] != request.body_hash and request.idempotency_key:
        raise IdempotencyMismatchError("this Idempotency-Key came with another body before")
    return AcceptedAct(row["id"], ActState(row["state"]), row["is_replay"])


def _named(subject: UUID, row: RowMapping) -> Mapping[str, UUID | None]:
    """One record, also where it is a booking by itself; or all of a group."""
    is_record = subject != row["group_id"] or row["id"] == row["group_id"]
    return {"group_id": row["group_id"], "consumption_id": subject if is_record else None}
