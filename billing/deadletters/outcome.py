"""What became of a row that was opened anew, and what it wrote into the ledger since."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.deadletters.names import LetterName
from billing.deadletters.reopen import state_of

LOOK_EVERY_SECONDS = 0.2
MOST_ENTRIES = 100

SAYS_WHY: Mapping[str, str] = {
    "webhook_event": "outcome",
    **dict.fromkeys(("purchase", "refund", "consumption_act", "staff_act", "account_act"), "error_type"),
}
"""The column by which a kind says more of its state."""

STANDING = """
    SELECT {state} AS state, {detail} AS detail, due_at, gave_up_at, last_error,
        extract(epoch FROM due_at - clock_timestamp())::float8 AS due_in_seconds
    FROM {table} WHERE id = :id
"""
OF_PURCHASE = "purchase_id = (SELECT purchase_id FROM {table} WHERE id = :id)"
ENTRIES_OF: Mapping[str, str] = {
    **dict.fromkeys(("purchase", "payment_watch"), "purchase_id = :id"),
    "webhook_event": """EXISTS (
        SELECT FROM purchase_transition AS step JOIN webhook_event AS event ON event.stripe_event_id = step.cause
        WHERE step.purchase_id = entry.purchase_id AND event.id = :id
    )""",
    "refund": OF_PURCHASE.format(table="refund"),
    "stale_mark": OF_PURCHASE.format(table="stale_mark"),
    "consumption_act": """consumption_id IN (
        SELECT one.id FROM consumption AS one JOIN consumption_act AS act USING (group_id) WHERE act.id = :id
    )""",
    "staff_act": "starts_with(source, 'staff_act:' || CAST(:id AS uuid)::text)",
    "sweep_run": "sweep_run_id = :id",
}
"""Which entries a row of this kind may have brought."""
ENTRIES = """
    SELECT id, kind, minutes, student_id, source FROM hour_entry AS entry
    WHERE id > :newest AND {which} ORDER BY id LIMIT :most
"""


class Became(StrEnum):
    DONE = "done"
    DEAD = "dead"
    WAITING = "waiting"
    """It is open: not taken yet, or put off."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a row stands; `detail` is an event's outcome or a refusal's word, `entries` what the ledger has of it."""

    became: Became
    state: str | None
    detail: str | None
    reason: str | None
    due_at: datetime | None
    due_in_seconds: float
    entries: Sequence[Mapping[str, Any]] = ()


async def find_standing(connection: AsyncConnection, name: LetterName, newest_entry: int) -> Standing | None:
    """`newest_entry` is the last one before it was opened anew."""
    detail = SAYS_WHY.get(name.kind, "NULL")
    statement = STANDING.format(table=name.table, state=state_of(name.kind), detail=detail)
    row = (await connection.execute(text(statement), {"id": name.key})).mappings().one_or_none()
    if row is None:
        return None
    became = _became(row)
    return Standing(
        became=became,
        state=row["state"],
        detail=row["detail"],
        reason=None if became is Became.DONE else row["last_error"],
        due_at=row["due_at"] and row["due_at"].astimezone(UTC),
        due_in_seconds=row["due_in_seconds"] or 0.0,
        entries=await _entries(connection, name, newest_entry) if became is Became.DONE else (),
    )


def _became(row: RowMapping) -> Became:
    """What is due again later and has no trouble was worked: it is only looked at from time to time."""
    if row["due_at"] is not None:
        rests = row["last_error"] is None and row["due_in_seconds"] > 0
        return Became.DONE if rests else Became.WAITING
    return Became.DEAD if row["gave_up_at"] else Became.DONE


async def _entries(connection: AsyncConnection, name: LetterName, newest_entry: int) -> Sequence[Mapping[str, Any]]:
    if name.kind not in ENTRIES_OF:
        return ()
    given = {"id": name.key, "newest": newest_entry, "most": MOST_ENTRIES}
    found = await connection.execute(text(ENTRIES.format(which=ENTRIES_OF[name.kind])), given)
    return [dict(row) for row in found.mappings()]


async def until_over(
    look: Callable[[], Awaitable[Standing | None]],
    patience_seconds: float,
    *,
    is_stopped: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Standing | None:
    """How it stands once it is done or dead again, or is put off for longer, or the time is over."""
    clock = asyncio.get_running_loop().time
    over_at = clock() + patience_seconds
    while True:
        found, left = await look(), over_at - clock()
        is_over = found is None or found.became is not Became.WAITING or found.due_in_seconds > left
        if is_over or left <= 0 or is_stopped():
            return found
        await sleep(min(LOOK_EVERY_SECONDS, left))
