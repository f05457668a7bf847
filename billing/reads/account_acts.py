"""What the owner of an account asked for, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.states import AccountAction, ActState

# Whoever asked is part of the question: somebody else's act is not there. What an undecided one keeps as its result is
# what a worker is about to call, which is nobody's to see.
ONE = text("""
    SELECT id, action, parameters, state, error_type, error_message, client_secret AS sealed_secret, requested_at,
        decided_at, CASE state WHEN 'done' THEN result END AS result
    FROM account_act WHERE id = :id AND caller_sub = :sub
""")


@dataclass(frozen=True, slots=True)
class AccountActView:
    """Of a refused one `error_type` and `error_message` say why; the secret is there while it is good for something."""

    id: UUID
    action: AccountAction
    parameters: Mapping[str, Any]
    state: ActState
    error_type: str | None
    error_message: str | None
    result: Mapping[str, Any] | None
    sealed_secret: bytes | None
    requested_at: datetime
    decided_at: datetime | None

    def __repr__(self) -> str:
        return f"AccountActView({self.id}, {self.action}, {self.state})"


async def find_account_act(connection: AsyncConnection, act_id: UUID, caller: str) -> AccountActView | None:
    """None where this caller, a token's `sub`, never asked for it."""
    row = (await connection.execute(ONE, {"id": act_id, "sub": caller})).mappings().one_or_none()
    if row is None:
        return None
    facts: dict[str, Any] = {**row, "action": AccountAction(row["action"]), "state": ActState(row["state"])}
    facts["requested_at"] = row["requested_at"].astimezone(UTC)
    facts["decided_at"] = row["decided_at"] and row["decided_at"].astimezone(UTC)
    return AccountActView(**facts)
