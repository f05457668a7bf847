"""Workers for payments and for money that goes back, without a broker and with a clock that tests move."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from billing import ledger, packages
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import GatewayError, NoConnectionError
from billing.ids import installation_mark, new_id
from billing.messages import AskStripe, PreparePayment, SendRefund
from billing.models import Dispute, Purchase, Refund, StaleMark
from billing.purchases.desk import Desk
from billing.purchases.payment import prepare_payment
from billing.refunds.holding import Wish, hold_refund
from billing.refunds.quote import Policy
from billing.refunds.send import send_refund
from billing.secrets import Vault
from billing.stale.ask import ask_stripe
from billing.webhooks.drain import drain
from tests.support.factories import add_event, add_purchase, add_student, event_body, load_purchase
from tests.support.gateway import FakeGateway
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases
from tests.support.records import bought, taken


class Office:
    def __init__(self, begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> None:
        self.gateway = FakeGateway(now)
        self.leases = UnrenewedLeases()
        self.desk = Desk(begin, self.gateway, self.leases, vault, deployment, now)

    def buy(self, **facts: object) -> Purchase:
        return add_purchase(self.desk.begin, at=self.desk.now, **facts)  # type: ignore[arg-type]

    def work(self, purchase: Purchase) -> Purchase:
        """One hint for a purchase that is due."""
        with self.desk.begin() as session:
            session.execute(text("UPDATE purchase SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"))
        for message in prepare_payment(self.desk, PreparePayment(purchase_id=purchase.id)):
            if isinstance(message, PreparePayment):
                prepare_payment(self.desk, message)
        return self.load(purchase)

    def load(self, purchase: Purchase) -> Purchase:
        return load_purchase(self.desk.begin, purchase.id)

    def end_of_day(self, instant: datetime) -> datetime:
        return packages.end_of_day(instant, self.desk.deployment.zone)

    def pass_time(self, minutes: float) -> None:
        self.desk = replace(self.desk, now=self.desk.now + timedelta(minutes=minutes))

    def fail_with(self, *errors: GatewayError) -> None:
        self.gateway.troubles.extend(errors)

    def calls(self) -> list[tuple[str, int, int]]:
        """State, attempt and sends of every call that was written down."""
        with self.desk.begin() as session:
            rows = session.execute(text("SELECT state, attempt, sends FROM stripe_call ORDER BY attempt"))
            return [(row.state, row.attempt, row.sends) for row in rows]


def unreachable() -> NoConnectionError:
    return NoConnectionError()


# What the rows of refunds and disputes say, and what the sums say that are kept of them; empty at every commit.
BROKEN_SUMS = text("""
    WITH refunds AS (
        SELECT purchase_id, sum(amount_cents) FILTER (WHERE state = 'succeeded') AS gone,
            sum(amount_cents) FILTER (WHERE state IN ('held', 'sent')) AS going,
            sum(minutes) FILTER (WHERE state = 'succeeded') AS taken,
            sum(minutes) FILTER (WHERE state IN ('held', 'sent')) AS held,
            sum(minutes_short) FILTER (WHERE state = 'succeeded') AS short
        FROM refund GROUP BY purchase_id
    ), disputes AS (
        SELECT purchase_id, sum(lost_cents) AS gone, sum(minutes_lost) AS taken, sum(minutes_short) AS short,
            sum(minutes_frozen) AS frozen
        FROM dispute GROUP BY purchase_id
    ), entries AS (
        SELECT part.lot_id, -sum(part.minutes) FILTER (WHERE kind IN ('freeze', 'thaw')) AS frozen,
            -sum(part.minutes) FILTER (WHERE kind = 'refund') AS refunded,
            -sum(part.minutes) FILTER (WHERE kind IN ('hold', 'release')) AS held
        FROM hour_entry AS entry JOIN hour_allocation AS part ON part.entry_id = entry.id GROUP BY part.lot_id
    ), fact AS (
        SELECT purchase.*, lot.id AS lot_id, lot.minutes_held AS lot_held, lot.minutes_frozen AS lot_frozen,
            lot.minutes_refunded AS lot_refunded, coalesce(refunds.gone, 0) + coalesce(disputes.gone, 0) AS gone,
            coalesce(refunds.going, 0) AS going, coalesce(refunds.held, 0) AS held,
            coalesce(refunds.taken, 0) + coalesce(disputes.taken, 0) AS taken,
            coalesce(refunds.short, 0) + coalesce(disputes.short, 0) AS short,
            coalesce(disputes.frozen, 0) AS frozen, coalesce(entries.frozen, 0) AS entries_frozen,
            coalesce(entries.refunded, 0) AS entries_refunded, coalesce(entries.held, 0) AS entries_held
        FROM purchase LEFT JOIN hour_lot AS lot ON lot.purchase_id = purchase.id
        LEFT JOIN refunds ON refunds.purchase_id = purchase.id
        LEFT JOIN disputes ON disputes.purchase_id = purchase.id
        LEFT JOIN entries ON entries.lot_id = lot.id
    )
    SELECT 'refunded_cents' AS rule, id::text FROM fact WHERE refunded_cents <> gone
    UNION ALL SELECT 'refunding_cents', id::text FROM fact WHERE refunding_cents <> going
    UNION ALL SELECT 'state', id::text FROM fact WHERE (state = 'refunded') <> (refunded_cents = price_cents)
    UNION ALL SELECT 'minutes of the lot', lot_id::text FROM fact
        WHERE (lot_held, lot_frozen, lot_refunded) <> (held, frozen, taken)
    UNION ALL SELECT 'entries of the lot', lot_id::text FROM fact
        WHERE (lot_held, lot_frozen, lot_refunded) <> (entries_held, entries_frozen, entries_refunded)
    UNION ALL SELECT 'balance', student_id::text
        FROM (SELECT student_id, sum(gone) AS gone, sum(short) AS short FROM fact
            WHERE lot_id IS NOT NULL GROUP BY student_id) AS theirs
        JOIN student_balance AS balance USING (student_id)
        WHERE (returned_cents, minutes_owed) <> (gone, short)
    UNION ALL SELECT 'frozen by a dispute that is not open', id::text FROM dispute
        WHERE minutes_frozen > 0 AND state <> 'open'
    UNION ALL SELECT 'call of a refund that is decided', refund.id::text
        FROM refund JOIN stripe_call AS call ON call.refund_id = refund.id
        WHERE call.state = 'open' AND refund.state <> 'held'
    UNION ALL SELECT 'nobody sees to it', id::text FROM refund
        WHERE state IN ('held', 'sent') AND due_at IS NULL AND gave_up_at IS NULL
""")


class Returns(Office):
    """Money on its way back: held as staff hold it, told as Stripe tells it, worked by one worker at a time.

    After each step every balance and every sum of money is proven.
    """

    def __init__(self, begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> None:
        super().__init__(begin, deployment, vault, now)
        self.hints = KeptHints()
        self.students = 0
        self.proves = True

    def sold(self, *, used: int = 0, lasts_days: float = 45, student_id: int | None = None) -> Purchase:
        """A paid standard package (140.00, 600 minutes) of a new student, some of which was used."""
        self.students += 1
        now, begin = self.desk.now, self.desk.begin
        owner = student_id or add_student(begin, f"student{self.students}@example.com", at=now)
        purchase = bought(begin, owner, at=now, expires_at=now + timedelta(days=lasts_days))
        mark = installation_mark(self.desk.deployment.installation, purchase.id)
        self.gateway.add_paid(intent_of(purchase), purchase.price_cents, mark)
        if used:
            self.use(purchase, used)
        return self.load(purchase)

    def use(self, purchase: Purchase, minutes: int) -> None:
        taken(self.desk.begin, self.lot(purchase)["id"], minutes, at=self.desk.now, session=new_id().hex)
        self.prove()

    def hold(self, purchase: Purchase, cents: int | None = None, *, policy: Policy | None = None) -> UUID:
        """What staff ask for; the sender is not told yet."""
        wish = Wish(new_id(), self.load(purchase).transaction_id or 0, cents, "request-of-a-test")
        with self.desk.begin() as session:
            hold_refund(session, wish, policy or Policy(), now=self.desk.now)
        self.prove()
        return wish.id

    def send(self, refund_id: UUID) -> Refund:
        """One hint for a refund, which is due."""
        self._make_due("refund")
        send_refund(self.desk, SendRefund(refund_id=refund_id))
        self.prove()
        return self.refund(refund_id)

    def refunded(self, purchase: Purchase, cents: int | None = None) -> Refund:
        return self.send(self.hold(purchase, cents))

    def hear(self, kind: str, subject: Mapping[str, Any], created_at: datetime | None = None) -> str:
        """An event comes and is worked; its outcome."""
        body = event_body(kind, {"id": "any", **subject}, at=created_at or self.desk.now)
        event_id = add_event(self.desk.begin, body, at=self.desk.now)
        self._make_due("webhook_event")
        drain(self.desk.begin, self.leases, self.hints, deployment=self.desk.deployment, now=self.desk.now)
        self.prove()
        with self.desk.begin() as session:
            found = text("SELECT coalesce(outcome, state) FROM webhook_event WHERE id = :id")
            return str(session.execute(found, {"id": event_id}).scalar_one())

    def hear_of_refunds(self, purchase: Purchase, kind: str = "refund.updated") -> None:
        """An event of any refund of it, and what a worker then finds at Stripe."""
        self.hear(kind, {"payment_intent": intent_of(purchase)})
        self.ask()

    def hear_of_dispute(self, dispute_id: str, kind: str = "charge.dispute.updated") -> None:
        dispute = self.gateway.disputes[dispute_id]
        self.hear(kind, {"id": dispute_id, "payment_intent": dispute.payment_intent_id})
        self.ask()

    def ask(self) -> None:
        """Every mark is asked about until none is left that can be answered now."""
        self._make_due("stale_mark")
        for _ in range(5):
            waiting = "SELECT id FROM stale_mark WHERE due_at <= clock_timestamp() ORDER BY id"
            with self.desk.begin() as session:
                ids = session.execute(text(waiting)).scalars().all()
            for mark_id in ids:
                ask_stripe(self.desk, AskStripe(mark_id=mark_id))
                self.prove()

    def _make_due(self, table: str) -> None:
        with self.desk.begin() as session:
            statement = f"UPDATE {table} SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"  # noqa: S608
            session.execute(text(statement))

    def prove(self) -> None:
        """Where many steps are made in one test it may prove now and then only."""
        if not self.proves:
            return
        assert ledger.violations(self.desk.begin) == []
        with self.desk.begin() as session:
            assert session.execute(BROKEN_SUMS).all() == []

    def refund(self, refund_id: UUID) -> Refund:
        with self.desk.begin() as session:
            return session.get_one(Refund, refund_id)

    def refunds(self) -> list[Refund]:
        with self.desk.begin() as session:
            return list(session.scalars(select(Refund).order_by(col(Refund.created_at), col(Refund.amount_cents))))

    def dispute(self, dispute_id: str) -> Dispute:
        with self.desk.begin() as session:
            return session.scalars(select(Dispute).where(Dispute.stripe_dispute_id == dispute_id)).one()

    def disputes(self) -> list[Dispute]:
        with self.desk.begin() as session:
            return list(session.scalars(select(Dispute).order_by(col(Dispute.stripe_dispute_id))))

    def marks(self) -> list[StaleMark]:
        with self.desk.begin() as session:
            return list(session.scalars(select(StaleMark).order_by(col(StaleMark.id))))

    def cases(self, purchase: Purchase | None = None) -> list[str]:
        statement = "SELECT reason FROM staff_case WHERE coalesce(purchase_id = :id, true) ORDER BY id"
        with self.desk.begin() as session:
            return list(session.execute(text(statement), {"id": purchase and purchase.id}).scalars())

    def lot(self, purchase: Purchase) -> Mapping[str, Any]:
        with self.desk.begin() as session:
            found = text("SELECT * FROM hour_lot WHERE purchase_id = :id")
            return dict(session.execute(found, {"id": purchase.id}).mappings().one())

    def minutes(self, purchase: Purchase) -> dict[str, int]:
        """Where the minutes of its lot are: the parts that have any."""
        parts = ("left", "consumed", "expired", "refunded", "frozen", "held")
        lot = self.lot(purchase)
        return {part: lot[f"minutes_{part}"] for part in parts if lot[f"minutes_{part}"]}

    def balance(self, purchase: Purchase) -> Mapping[str, Any]:
        with self.desk.begin() as session:
            found = text("SELECT * FROM student_balance WHERE student_id = :id")
            return dict(session.execute(found, {"id": self.load(purchase).student_id}).mappings().one())


def intent_of(purchase: Purchase) -> str:
    assert purchase.payment_intent_id is not None
    return purchase.payment_intent_id
