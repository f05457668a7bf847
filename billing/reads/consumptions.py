"""Hours for sessions as the platform follows them: what was booked, from which packages, and what was asked since."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.states import ActState, ConsumptionActKind, ConsumptionMode, ConsumptionState

BOOKED = text("""
    SELECT consumption.*, student.email, student.name, student.external_id, taken.parts, asked.acts
    FROM consumption
    JOIN student ON student.id = consumption.student_id
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_array(transaction_id, minutes) ORDER BY expires_at, lot_id) AS parts
        FROM (
            SELECT part.lot_id, hour_lot.expires_at, purchase.transaction_id, -sum(part.minutes) AS minutes
            FROM hour_entry
            JOIN hour_allocation AS part ON part.entry_id = hour_entry.id
            JOIN hour_lot ON hour_lot.id = part.lot_id
            LEFT JOIN purchase ON purchase.id = hour_lot.purchase_id
            WHERE hour_entry.consumption_id = consumption.id
            GROUP BY part.lot_id, hour_lot.expires_at, purchase.transaction_id
            HAVING sum(part.minutes) < 0
        ) AS lots
    ) AS taken ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(to_jsonb(wish) ORDER BY requested_at, id) AS acts
        FROM (
            SELECT id, act, state, minutes, reason, error_type, requested_at, decided_at FROM consumption_act
            WHERE group_id = consumption.group_id AND (consumption_id IS NULL OR consumption_id = consumption.id)
        ) AS wish
    ) AS asked ON true
    WHERE consumption.id = :id OR consumption.group_id = :id
    ORDER BY consumption.student_id
""")

STANDINGS = (
    ConsumptionState.REQUESTED,
    ConsumptionState.HELD,
    ConsumptionState.CONSUMED,
    ConsumptionState.REFUNDED,
    ConsumptionState.RELEASED,
    ConsumptionState.LAPSED,
    ConsumptionState.REFUSED,
)
"""How a group stands: as the first of these in which any of its records is. What is still to happen counts most."""


def standing_of(states: Iterable[str]) -> ConsumptionState:
    return min(map(ConsumptionState, states), key=STANDINGS.index)


@dataclass(frozen=True, slots=True)
class ActView:
    """`minutes` is None where the whole was meant."""

    id: UUID
    act: ConsumptionActKind
    state: ActState
    minutes: int | None
    reason: str | None
    error_type: str | None
    requested_at: datetime
    decided_at: datetime | None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "ActView":
        return cls(
            id=UUID(facts["id"]),
            act=ConsumptionActKind(facts["act"]),
            state=ActState(facts["state"]),
            minutes=facts["minutes"],
            reason=facts["reason"],
            error_type=facts["error_type"],
            requested_at=datetime.fromisoformat(facts["requested_at"]),
            decided_at=datetime.fromisoformat(facts["decided_at"]) if facts["decided_at"] else None,
        )


@dataclass(frozen=True, slots=True)
class TakenFrom:
    """Minutes held in a package or taken from it; `transaction_id` is None where it was not bought."""

    transaction_id: int | None
    minutes: int


@dataclass(frozen=True, slots=True)
class ConsumptionView:
    id: UUID
    session_id: str
    mode: ConsumptionMode
    state: ConsumptionState
    minutes: int
    minutes_held: int
    minutes_consumed: int
    minutes_returned: int
    ends_at: datetime | None
    error_type: str | None
    student_id: int
    email: str
    name: str
    external_id: str | None
    packages: Sequence[TakenFrom]
    requested_at: datetime
    decided_at: datetime | None
    acts: Sequence[ActView]


@dataclass(frozen=True, slots=True)
class BookingView:
    """One record, or a group: the records of all students who were booked together."""

    id: UUID
    is_group: bool
    records: Sequence[ConsumptionView]

    @property
    def state(self) -> ConsumptionState:
        return standing_of(record.state for record in self.records)

    @property
    def acts(self) -> Mapping[UUID, ActView]:
        return {act.id: act for record in self.records for act in record.acts}


async def find_booking(connection: AsyncConnection, booking_id: UUID) -> BookingView | None:
    """The record of this id, or the group."""
    rows = (await connection.execute(BOOKED, {"id": booking_id})).mappings().all()
    if not rows:
        return None
    is_group = rows[0]["group_id"] == booking_id and rows[0]["id"] != booking_id
    return BookingView(booking_id, is_group, [_record(row) for row in rows])


def _record(row: RowMapping) -> ConsumptionView:
    return ConsumptionView(
        id=row["id"],
        session_id=row["session_id"],
        mode=ConsumptionMode(row["mode"]),
        state=ConsumptionState(row["state"]),
        minutes=row["minutes"],
        minutes_held=row["minutes_held"],
        minutes_consumed=row["minutes_consumed"],
        minutes_returned=row["minutes_returned"],
        ends_at=row["ends_at"] and row["ends_at"].astimezone(UTC),
        error_type=row["error_type"],
        student_id=row["student_id"],
        email=row["email"],
        name=row["name"],
        external_id=row["external_id"],
        packages=[TakenFrom(*part) for part in row["parts"] or ()],
        requested_at=row["requested_at"].astimezone(UTC),
        decided_at=row["decided_at"] and row["decided_at"].astimezone(UTC),
        acts=[ActView.of(act) for act in row["acts"] or ()],
    )
