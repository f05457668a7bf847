"""What happens by itself when the sandbox's time comes: rows, so that a restart loses none."""

from collections.abc import Iterable
from dataclasses import dataclass

from billing.sandbox.clock import Clock
from billing.sandbox.database import Database


@dataclass(frozen=True)
class Appointment:
    seq: int
    action: str
    subject: str
    due: float


class Schedule:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, action: str, subject: str, in_seconds: float) -> None:
        self.add_at(action, subject, self._clock.exact() + in_seconds)

    def add_at(self, action: str, subject: str, due: float) -> None:
        self._database.run("INSERT INTO schedule (due, action, subject) VALUES (?, ?, ?)", due, action, subject)

    def next_due(self) -> Appointment | None:
        row = self._database.row(
            "SELECT seq, action, subject, due FROM schedule WHERE due <= ? ORDER BY due, seq LIMIT 1",
            self._clock.exact(),
        )
        return None if row is None else Appointment(*row)

    def bring_forward(self, actions: Iterable[str], seconds: float) -> None:
        for action in actions:
            self._database.run("UPDATE schedule SET due = due - ? WHERE action = ?", seconds, action)

    def done(self, appointment: Appointment) -> None:
        self._database.run("DELETE FROM schedule WHERE seq = ?", appointment.seq)

    def next_at(self) -> float | None:
        """When, by the sandbox's clock, the next one is due or was."""
        row = self._database.row("SELECT min(due) AS due FROM schedule")
        return None if row is None else row["due"]

    def seconds_until_next(self) -> float | None:
        next_at = self.next_at()
        return None if next_at is None else max(0.0, next_at - self._clock.exact())
