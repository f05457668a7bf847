"""Accepting a refund: a second click while the first one is on its way is the first one."""

from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.staff.accept import AcceptedAct, ActRequest, accept_act
from billing.states import ActState

# On the purchase's name and not on its row: nobody who asks waits for a worker that has the purchase in hand.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:name AS text), 0))")
# An act that was given up, and a refund too, can be taken up again by people: it is still on its way.
ON_ITS_WAY = text("""
    SELECT act.id, act.state FROM staff_act AS act LEFT JOIN refund ON refund.id = act.id
    WHERE act.action = 'refund' AND act.target = :target AND act.actor = :actor
        AND act.parameters = CAST(:parameters AS jsonb)
        AND (act.state = 'requested' OR refund.state IN ('held', 'sent'))
    ORDER BY act.requested_at LIMIT 1
""")


async def accept_refund(connection: AsyncConnection, request: ActRequest) -> AcceptedAct:
    """As `accept_act`; without a key the same actor's wish for the same money is the one that is not decided yet.

    Whoever asks for money of one purchase at the same time does so one after the other.
    """
    await connection.execute(LOCK, {"name": f"refund:{request.wish.target}"})
    earlier = None if request.idempotency_key else await _on_its_way(connection, request)
    if earlier is None:
        return await accept_act(connection, request)
    found: UUID = earlier["id"]
    return AcceptedAct(found, ActState(earlier["state"]), found != request.id)


async def _on_its_way(connection: AsyncConnection, request: ActRequest) -> RowMapping | None:
    given = {
        "target": request.wish.target,
        "actor": request.actor,
        "parameters": orjson.dumps(request.wish.model_dump(mode="json")).decode(),
    }
    return (await connection.execute(ON_ITS_WAY, given)).mappings().first()
