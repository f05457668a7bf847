"""Events that are to be posted to the webhook, as rows; and the plan of what goes wrong on the way."""

import time
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from billing.sandbox.chance import Dice
from billing.sandbox.database import Database

ATTEMPTS_AT_MOST = 50
WAIT_AT_MOST_SECONDS = 30.0
STATES = ("pending", "delivered", "dropped", "abandoned")


class DeliveryPlan(BaseModel):
    """`types` narrows it to some events; all but `paused` and `parallel` is decided when an event happens."""

    model_config = ConfigDict(extra="forbid")

    paused: bool = False
    parallel: Annotated[int, Field(ge=1, le=64)] = 16
    duplicates: Annotated[int, Field(ge=0, le=100)] = 0
    delay_seconds: Annotated[float, Field(ge=0)] = 0
    reorder_seconds: Annotated[float, Field(ge=0)] = 0
    drop_share: Annotated[float, Field(ge=0, le=1)] = 0
    drop_next: Annotated[int, Field(ge=0)] = 0
    types: list[str] | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Delivery:
    seq: int
    event: str
    body: str
    copies: int
    attempts: int


class Deliveries:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.follow(DeliveryPlan())

    def follow(self, plan: DeliveryPlan) -> None:
        self.plan = plan
        self._dice = Dice(plan.seed)

    def add(self, event_id: str, event_type: str) -> None:
        """The plan decides now, so that the number of events, not the speed of the line, settles who is lost."""
        is_touched = self.plan.types is None or event_type in self.plan.types
        is_lost = is_touched and self._is_lost()
        self._database.run(
            "INSERT INTO deliveries (event, due, copies, state) VALUES (?, ?, ?, ?)",
            event_id,
            time.time() + (self._delay_seconds() if is_touched else 0),
            1 + (self.plan.duplicates if is_touched else 0),
            "dropped" if is_lost else "pending",
        )

    def due(self, limit: int, besides: set[int]) -> list[Delivery]:
        rows = self._database.rows(
            "SELECT d.seq, d.event, e.body, d.copies, d.attempts FROM deliveries d JOIN events e ON e.id = d.event"
            " WHERE d.state = 'pending' AND d.due <= ? ORDER BY d.due, d.seq LIMIT ?",
            time.time(),
            limit + len(besides),
        )
        found = [Delivery(*row) for row in rows if row["seq"] not in besides]
        return found[:limit]

    def seconds_until_next(self) -> float | None:
        row = self._database.row(
            "SELECT due FROM deliveries WHERE state = 'pending' AND due > ? ORDER BY due LIMIT 1", time.time()
        )
        return None if row is None else max(0.0, row["due"] - time.time())

    def delivered(self, delivery: Delivery) -> None:
        self._settle(delivery, "delivered", time.time())

    def put_off(self, delivery: Delivery) -> None:
        """1, 2, 4, 8 … 30 seconds; Stripe takes hours, which nobody watches."""
        wait_seconds = min(WAIT_AT_MOST_SECONDS, 2.0**delivery.attempts)
        is_over = delivery.attempts + 1 >= ATTEMPTS_AT_MOST
        self._settle(delivery, "abandoned" if is_over else "pending", time.time() + wait_seconds)

    def counts(self) -> dict[str, int]:
        rows = self._database.rows("SELECT state, count(*) AS number FROM deliveries GROUP BY state")
        return dict.fromkeys(STATES, 0) | {row["state"]: row["number"] for row in rows}

    def _settle(self, delivery: Delivery, state: str, due: float) -> None:
        self._database.run(
            "UPDATE deliveries SET state = ?, due = ?, attempts = attempts + 1 WHERE seq = ?", state, due, delivery.seq
        )

    def _is_lost(self) -> bool:
        if self.plan.drop_next > 0:
            self.plan.drop_next -= 1
            return True
        return self._dice.falls(self.plan.drop_share)

    def _delay_seconds(self) -> float:
        return self.plan.delay_seconds + self._dice.seconds(self.plan.reorder_seconds)


def shown(plan: DeliveryPlan) -> dict[str, Any]:
    return plan.model_dump()
