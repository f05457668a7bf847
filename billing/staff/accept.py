"""Accepting what staff ask for: one row, which a worker works and auditors read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import ConflictError, IdempotencyMismatchError
from billing.staff.wishes import Wish
from billing.states import ActState


@dataclass(frozen=True, slots=True)
class ActRequest:
    """A wish, who has it, and why. `actor` is a token's `sub`; a command's has the prefix `cli:`."""

    id: UUID
    wish: Wish
    reason: str
    actor: str
    address: str | None
    idempotency_key: str | None
    body_hash: bytes | None
    request_id: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class AcceptedAct:
    """A committed act, new or asked for earlier under this key, and how it stands."""

    id: UUID
    state: ActState
    is_replay: bool


# No conflict is named: the same request again, after a connection was lost, finds itself by its id.
REQUEST = text("""
    WITH made AS (
        INSERT INTO staff_act (
            id, action, target, parameters, reason, actor, address, idempotency_key, body_hash, request_id, state,
            requested_at, due_at, hint_at
        )
        VALUES (
            :id, :action, :target, CAST(:parameters AS jsonb), :reason, :actor, :address, :key, :body_hash,
            :request_id, 'requested', :requested_at, clock_timestamp(), clock_timestamp() + interval '2 seconds'
        )
        ON CONFLICT DO NOTHING
        RETURNING id, state, body_hash
    )
    SELECT id, state, body_hash FROM made
    UNION ALL
    SELECT id, state, body_hash FROM staff_act
    WHERE (id = :id OR (actor = :actor AND idempotency_key = :key AND state <> 'refused'))
        AND NOT EXISTS (SELECT FROM made)
""")


async def accept_act(connection: AsyncConnection, request: ActRequest) -> AcceptedAct:
    """The act of this request, or of an earlier one with its key; a refused one is not remembered.

    A statement does not see what was committed while it waited for it, and the next one does.
    Raises IdempotencyMismatchError for a key that came with another wish, and ConflictError where no try shows it.
    """
    row = await _request(connection, request) or await _request(connection, request)
    if row is None:
        raise ConflictError("what came with this Idempotency-Key before is being refused")
    if row["body_hash"] != request.body_hash:
        raise IdempotencyMismatchError("this Idempotency-Key came with another body before")
    return AcceptedAct(row["id"], ActState(row["state"]), row["id"] != request.id)


async def _request(connection: AsyncConnection, request: ActRequest) -> RowMapping | None:
    return (await connection.execute(REQUEST, _values(request))).mappings().first()


def _values(request: ActRequest) -> dict[str, object]:
    return {
        "id": request.id,
        "action": request.wish.action.value,
        "target": request.wish.target,
        "parameters": orjson.dumps(request.wish.model_dump(mode="json")).decode(),
        "reason": request.reason,
        "actor": request.actor,
        "address": request.address,
        "key": request.idempotency_key,
        "body_hash": request.body_hash,
        "request_id": request.request_id,
        "requested_at": request.requested_at,
    }
