"""Workers without a broker, each with leases of its own, and a database, a payment service and a post to work at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import text

from billing import ledger, work
from billing.config import Settings
from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import new_id
from billing.messages import (
    AskAboutPayment,
    AskStripe,
    EventsWaiting,
    HoursWaiting,
    LinkStudent,
    Message,
    PerformAccountAct,
    PerformStaffAct,
    PreparePayment,
    ReceiptsWaiting,
    SendNotification,
    SendRefund,
    SweepLots,
    WriteExport,
)
from billing.secrets import Vault
from billing.work import LeaseTerms
from tests.support.factories import add_student
from tests.support.gateway import FakeGateway
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases
from tests.support.notes import KeptPost
from tests.support.office import BROKEN_SUMS, Returns
from workers import tasks
from workers.runtime import Runtime

DUE_NOW = """
    UPDATE {table} SET due_at = clock_timestamp(), hint_at = clock_timestamp() - interval '1 ms', lease_until = CASE
        WHEN lease_token IS NOT NULL THEN clock_timestamp() - interval '1 ms' END
    WHERE id = :id AND due_at IS NOT NULL
"""
LEASE_ENDS = """
    UPDATE {table} SET lease_until = clock_timestamp() - interval '1 ms', hint_at = clock_timestamp() - interval '1 ms'
    WHERE id = :id AND lease_token IS NOT NULL
"""
WORKERS: Mapping[type[Message], Callable[[Any, Runtime], object]] = {
    PreparePayment: tasks.prepare_payment,
    EventsWaiting: tasks.drain,
    LinkStudent: tasks.link_student,
    HoursWaiting: tasks.work_hours,
    PerformStaffAct: tasks.perform_staff_act,
    SweepLots: tasks.sweep_lots,
    SendNotification: tasks.notify_student,
    SendRefund: tasks.send,
    AskStripe: tasks.ask,
    ReceiptsWaiting: tasks.issue_receipts,
    PerformAccountAct: tasks.perform_for_owner,
    AskAboutPayment: tasks.ask_about,
    WriteExport: tasks.write_list,
}


@dataclass(frozen=True)
class OpenRow:
    """`effects` is what there is of it, in rows and at Stripe; `done` is the same once it was worked, once."""

    table: str
    id: Any
    hint: Message
    effects: Callable[[], object]
    done: object
    most_lost: int = LeaseTerms().lost_claims
    """Claims of it that may be lost before people have to decide."""


@dataclass
class Works:
    """A database, a payment service, a post, and workers that each have leases of their own."""

    begin: Begin
    url: str
    settings: Settings
    vault: Vault
    deployment: Deployment
    now: datetime
    post: KeptPost = field(default_factory=KeptPost)
    hints: KeptHints = field(default_factory=KeptHints)
    leases: UnrenewedLeases = field(default_factory=UnrenewedLeases)

    @cached_property
    def returns(self) -> Returns:
        returns = Returns(self.begin, self.deployment, self.vault, self.now)
        returns.proves = False
        return returns

    @property
    def gateway(self) -> FakeGateway:
        return self.returns.gateway

    def work(self, hint: Message, leases: UnrenewedLeases | None = None) -> None:
        """What one worker does for one hint, as its task does; its claims end when they end, nobody renews them."""
        runtime = Runtime(
            begin=self.begin,
            gateway=self.gateway,
            leases=leases or self.leases,
            hints=self.hints,
            now=lambda: self.now,
            settings=self.settings,
            vault=self.vault,
            deployment=self.deployment,
            post=self.post,
        )
        WORKERS[type(hint)](hint, runtime)

    def make_due(self, row: OpenRow) -> None:
        """Whatever its worker wanted to wait for, and whoever had it."""
        self.run(DUE_NOW.format(table=row.table), id=row.id)

    def end_lease(self, row: OpenRow) -> None:
        self.run(LEASE_ENDS.format(table=row.table), id=row.id)

    def is_given_up(self, row: OpenRow, *, lost: int) -> bool:
        """So many workers were lost over it that it is left to people, as is right for its kind."""
        return lost >= row.most_lost and self.columns(row)["gave_up_at"] is not None

    def hints_of(self, row: OpenRow) -> int:
        """How many of what a sweeper asks for now are for this row."""
        return work.take_overdue(self.begin).count(row.hint)

    def columns(self, row: OpenRow) -> dict[str, Any]:
        with self.begin() as session:
            found = session.execute(text(f"SELECT * FROM {row.table} WHERE id = :id"), {"id": row.id})  # noqa: S608
            return dict(found.mappings().one())

    def run(self, statement: str, **values: Any) -> None:
        with self.begin() as session:
            session.execute(text(statement), values)

    def one(self, question: str, **values: Any) -> Any:
        """The row that answers, as a tuple, or its value where it has only one."""
        with self.begin() as session:
            found = session.execute(text(question), values).one()
        return found[0] if len(found) == 1 else tuple(found)

    def student(self) -> tuple[int, str]:
        """A new one, and the address."""
        email = f"{new_id().hex}@example.com"
        return add_student(self.begin, email, at=self.now), email

    def prove(self) -> None:
        """Every balance, and every sum of money that went back."""
        assert ledger.violations(self.begin) == []
        with self.begin() as session:
            assert session.execute(BROKEN_SUMS).all() == []
