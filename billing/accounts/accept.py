"""Accepting what the owner of an account asks for: one row, which a worker works in its turn.

A wish to cancel puts up the fence of the subscription in the same transaction: whatever is still on its way to charge
reads it again before it calls Stripe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import IdempotencyMismatchError
from billing.models.columns import listed
from billing.purchases.accept import Caller
from billing.states import LIVE_SUBSCRIPTIONS, AccountAction, ActState, SubscriptionStatus


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """A validated wish, and who has it; `body_hash` is of the body that came with the key."""

    id: UUID
    action: AccountAction
    parameters: Mapping[str, Any]
    caller: Caller
    name: str | None
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


# One at a time for each caller, so that the order of `serial` is the order of commits. The next statement sees what
# was committed while this one waited.
TAKE_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('account_act:' || :sub, 0))")

# Without a key the caller's newest wish is looked at, while it is undecided: one that is the same is a double click.
# With another one between them it is not, for cancel, resume, cancel are three wishes.
ACCEPT = text(f"""
    WITH newest AS (
        SELECT id, state, due_at, action, parameters FROM account_act WHERE caller_sub = :sub
        ORDER BY serial DESC LIMIT 1
    ), known AS (
        SELECT id, state, body_hash FROM account_act
        WHERE id = :id
            OR (caller_sub = :sub AND idempotency_key = :key AND state <> 'refused')
            OR (CAST(:key AS text) IS NULL AND id = (
                SELECT id FROM newest
                WHERE state = 'requested' AND due_at IS NOT NULL AND action = :action
                    AND parameters = CAST(:parameters AS jsonb)
            ))
        LIMIT 1
    ), made AS (
        INSERT INTO account_act (
            id, action, parameters, caller_sub, caller_email, caller_email_verified, caller_name, student_id,
            idempotency_key, body_hash, request_id, state, requested_at, due_at, hint_at
        )
        SELECT :id, :action, CAST(:parameters AS jsonb), :sub, :email, :verified, :name,
            (SELECT id FROM student WHERE external_id = :sub), :key, :body_hash, :request_id, 'requested',
            :requested_at, clock_timestamp(), clock_timestamp() + interval '2 seconds'
        WHERE NOT EXISTS (SELECT FROM known)
        RETURNING id, state, body_hash
    ), fenced AS (
        UPDATE subscription SET cancel_requested_at = coalesce(cancel_requested_at, :requested_at)
        FROM made
        WHERE :action = 'cancel' AND subscription.id = (
            SELECT living.id FROM subscription AS living JOIN student ON student.id = living.student_id
            WHERE student.external_id = :sub
                AND living.status IN ({listed(LIVE_SUBSCRIPTIONS | {SubscriptionStatus.INCOMPLETE})})
            ORDER BY living.status = 'incomplete', living.began_at DESC, living.id LIMIT 1
        )
    )
    SELECT id, state, body_hash FROM made UNION ALL SELECT id, state, body_hash FROM known
""")  # noqa: S608  # the words in it are our own


async def accept_act(connection: AsyncConnection, request: AccountRequest) -> AcceptedAct:
    """The act of this request, or of an earlier one with its key; a refused one is not remembered.

    Raises IdempotencyMismatchError for a key that came with another body.
    """
    await connection.execute(TAKE_TURN, {"sub": request.caller.sub})
    row = (await connection.execute(ACCEPT, _values(request))).mappings().one()
    if request.idempotency_key is not None and _hash(row) != request.body_hash:
        raise IdempotencyMismatchError("this Idempotency-Key came with another body before")
    return AcceptedAct(row["id"], ActState(row["state"]), row["id"] != request.id)


def _hash(row: RowMapping) -> bytes | None:
    return None if row["body_hash"] is None else bytes(row["body_hash"])


def _values(request: AccountRequest) -> dict[str, object]:
    return {
        "id": request.id,
        "action": request.action.value,
        "parameters": orjson.dumps(dict(request.parameters)).decode(),
        "sub": request.caller.sub,
        "email": request.caller.email,
        "verified": request.caller.email_verified,
        "name": request.name,
        "key": request.idempotency_key,
        "body_hash": request.body_hash if request.idempotency_key else None,
        "request_id": request.request_id,
        "requested_at": request.requested_at,
    }
