"""What staff asked for and what became of it: the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.lists import list_page
from billing.reads.pages import Page, Slice
from billing.states import ActState, StaffAction

COLUMNS = """id AS row_id, action, actor, reason, target, before, after, address, state, error_type, error_message,
    requested_at, decided_at"""
LISTED = f"""
    SELECT total.count, act.*
    FROM (SELECT count(*) AS count FROM staff_act WHERE {{filter}}) AS total
    LEFT JOIN LATERAL (
        SELECT {COLUMNS} FROM staff_act WHERE {{filter}}
        ORDER BY requested_at DESC, id DESC LIMIT :size OFFSET :skipped
    ) AS act ON true
    ORDER BY act.requested_at DESC, act.row_id DESC
"""  # noqa: S608  # our own words
ONE = text(f"SELECT {COLUMNS} FROM staff_act WHERE id = :id")  # noqa: S608

CONDITIONS: Mapping[str, str] = {
    "action": "action = :action",
    "actor": "actor = :actor",
    # An act on many packages, or on many plans, is about each of them; so is the act that made a plan.
    "target": """(target = :target OR parameters -> 'transaction_ids' @> CAST(:transaction_id AS jsonb)
        OR (target = 'plans' AND (parameters -> 'plan_ids' @> CAST(:plan_id AS jsonb)
            OR after -> 'plan_id' = CAST(:plan_id AS jsonb))))""",
    "is_done": "state = CASE WHEN :is_done THEN 'done' ELSE 'refused' END",
    "since": "requested_at >= :since",
    "until": "requested_at <= :until",
}


@dataclass(frozen=True, slots=True)
class ActFilter:
    """What has to fit; None: anything. `until` is the last instant that counts."""

    action: StaffAction | None = None
    actor: str | None = None
    target: str | None = None
    is_done: bool | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def condition(self) -> str:
        asked = [condition for name, condition in CONDITIONS.items() if getattr(self, name) is not None]
        return " AND ".join(asked) or "true"

    @property
    def values(self) -> dict[str, Any]:
        given = {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}
        if not self.target:
            return given
        return {
            **given,
            "transaction_id": _number_of(self.target, "purchase"),
            "plan_id": _number_of(self.target, "plan"),
        }


@dataclass(frozen=True, slots=True)
class ActView:
    """`before` and `after` are what it changed; of a refused one `error_type` and `error_message` say why."""

    id: UUID
    action: StaffAction
    actor: str
    reason: str
    target: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    address: str | None
    state: ActState
    error_type: str | None
    error_message: str | None
    requested_at: datetime
    decided_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> "ActView":
        facts: dict[str, Any] = {name: row[name] for name in cls.__slots__ if name != "id"}
        facts["action"], facts["state"] = StaffAction(row["action"]), ActState(row["state"])
        facts["requested_at"] = row["requested_at"].astimezone(UTC)
        facts["decided_at"] = row["decided_at"] and row["decided_at"].astimezone(UTC)
        return cls(id=row["row_id"], **facts)


async def list_acts(connection: AsyncConnection, part: Slice, only: ActFilter) -> Page[ActView]:
    """The newest first."""
    statement = LISTED.replace("{filter}", only.condition)
    return await list_page(connection, statement, part, ActView.of, **only.values)


async def find_act(connection: AsyncConnection, act_id: UUID) -> ActView | None:
    row = (await connection.execute(ONE, {"id": act_id})).mappings().one_or_none()
    return None if row is None else ActView.of(row)


def _number_of(target: str, noun: str) -> str | None:
    """The number of this noun, as JSON; a target that names another has none, and null fits nothing."""
    kind, _, number = target.partition(":")
    is_number = kind == noun and number.isascii() and number.isdigit() and len(number) < 19
    return str(int(number)) if is_number else None
