"""Staff who ask for something, a worker who does it, and the audit row that is left."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from billing.cli.acts import Accept
from billing.cli.reading import ask_at
from billing.db import Begin
from billing.expiry.sweep import start_sweep, sweep_lots
from billing.ids import new_id
from billing.messages import FollowUp, PerformStaffAct
from billing.models import HourLot, StaffAct
from billing.refunds.quote import Policy
from billing.staff.accept import AcceptedAct, ActRequest, accept_act
from billing.staff.perform import perform_act
from billing.staff.wishes import Wish
from billing.states import SweepTrigger
from tests.support.leases import UnrenewedLeases

LISBON = ZoneInfo("Europe/Lisbon")
REASON = "Ana was ill."


@dataclass
class StaffRoom:
    """`now` is moved by tests."""

    begin: Begin
    url: str
    now: datetime
    leases: UnrenewedLeases = field(default_factory=UnrenewedLeases)
    policy: Policy = field(default_factory=Policy)

    def accept(
        self, wish: Wish, *, key: str | None = None, body: bytes = b"body", by: Accept = accept_act, **facts: Any
    ) -> AcceptedAct:
        """As the door does it."""
        given: dict[str, Any] = {
            "id": new_id(),
            "reason": REASON,
            "actor": "staff-1",
            "address": "192.0.2.7",
            "request_id": "request-of-a-test",
            "requested_at": self.now,
            **facts,
        }
        request = ActRequest(wish=wish, idempotency_key=key, body_hash=body if key else None, **given)
        return ask_at(self.url, lambda connection: by(connection, request))

    def perform(self, act_id: UUID) -> list[FollowUp]:
        message, refunds = PerformStaffAct(act_id=act_id), self.policy
        return [*perform_act(self.begin, self.leases, message, zone=LISBON, refunds=refunds, now=self.now)]

    def do(self, wish: Wish) -> StaffAct:
        """Accepted and worked."""
        act_id = self.accept(wish).id
        self.perform(act_id)
        return self.row(act_id)

    def row(self, act_id: UUID) -> StaffAct:
        with self.begin() as session:
            return session.get_one(StaffAct, act_id)

    def sweep(self) -> None:
        """Write off all that has expired by now."""
        for message in start_sweep(self.begin, SweepTrigger.NIGHTLY, grace_hours=0, now=self.now):
            sweep_lots(self.begin, self.leases.terms, message, now=self.now)

    def lot(self, lot_id: int = 1) -> HourLot:
        with self.begin() as session:
            return session.get_one(HourLot, lot_id)

    def entries(self) -> list[tuple[str, int, str]]:
        """Kind, minutes and source of all, the oldest first."""
        with self.begin() as session:
            rows = session.execute(text("SELECT kind, minutes, source FROM hour_entry ORDER BY id"))
            return [(row.kind, row.minutes, row.source) for row in rows]

    def run(self, statement: str, **values: Any) -> None:
        with self.begin() as session:
            session.execute(text(statement), values)
