"""One row of each kind that gave up, and the worker that works it once it is opened anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any
from uuid import UUID

from sqlalchemy import text

from billing.accounts.perform import perform_account_act
from billing.config import Settings
from billing.db import Begin
from billing.deadletters.names import LetterName
from billing.deadletters.reopen import Reopened, reopen
from billing.deployment import Deployment
from billing.expiry.sweep import sweep_lots
from billing.ids import new_id
from billing.messages import AskAboutPayment, AskStripe, LinkStudent, PerformAccountAct, SweepLots
from billing.models import Purchase
from billing.purchases.asking import ask_about_payment
from billing.purchases.watches import ASKS
from billing.receipts.ask import ask_for_receipts
from billing.receipts.drain import drain as drain_receipts
from billing.secrets import Vault
from billing.staff.wishes import Grant
from billing.stale.ask import ask_stripe
from billing.stale.marks import mark
from billing.states import PurchaseState, StaleKind
from billing.student_links import follow_link
from billing.webhooks.drain import drain
from tests.support.exports import add_students, ask, students_named, write
from tests.support.factories import add_event, add_purchase, add_student, event_body, intent_body
from tests.support.hints import KeptHints
from tests.support.hours import Lessons
from tests.support.leases import UnrenewedLeases
from tests.support.notes import KeptPost, note_low, send_one
from tests.support.office import Returns, intent_of, unreachable
from tests.support.records import bought
from tests.support.staff import StaffRoom
from tests.support.sweeps import add_lots, open_sweep

REASON = "ValueError: nothing fits"

LINK = """
    INSERT INTO student_link (id, external_id, email, name, request_id, requested_at, due_at, hint_at)
    VALUES (:id, 'account-1', 'ana@example.com', 'Ana', 'request', :now, clock_timestamp(), clock_timestamp())
"""
ACCOUNT_ACT = """
    INSERT INTO account_act (id, action, parameters, caller_sub, caller_email, caller_email_verified, caller_name,
        request_id, state, requested_at, due_at, hint_at)
    VALUES (:id, 'cancel', '{}', 'account-1', 'ana@example.com', true, 'Ana', 'request', 'requested', :now,
        clock_timestamp(), clock_timestamp())
"""


@dataclass(frozen=True)
class Dead:
    """What gave up, how a worker works it, and the words in which its row says that it is done."""

    name: LetterName
    work: Callable[[], object]
    ends_as: str


@dataclass
class Graveyard:
    """`now` is the time of everybody who works here."""

    begin: Begin
    url: str
    deployment: Deployment
    vault: Vault
    settings: Settings
    now: datetime

    @cached_property
    def room(self) -> StaffRoom:
        return StaffRoom(self.begin, self.url, self.now)

    @cached_property
    def returns(self) -> Returns:
        return Returns(self.begin, self.deployment, self.vault, self.now)

    def die(self, name: LetterName, reason: str = REASON, *, attempts: int = 7) -> LetterName:
        """As a worker gives up; an event says so by its state as well."""
        also = ", state = 'dead'" if name.kind == "webhook_event" else ""
        statement = f"""
            UPDATE {name.table} SET due_at = NULL, hint_at = NULL, lease_until = NULL, lease_token = NULL, hints = 0,
                attempts = :attempts, deferrals = :attempts - 1, gave_up_at = clock_timestamp(), last_error = :reason,
                troubled_since = clock_timestamp() - interval '1 hour'{also}
            WHERE id = :id
        """  # noqa: S608
        self.run(statement, id=name.key, attempts=attempts, reason=reason)
        return name

    def reopen(self, name: LetterName) -> Reopened:
        with self.begin() as session:
            return reopen(session, name)

    def run(self, statement: str, **values: Any) -> None:
        with self.begin() as session:
            session.execute(text(statement), values)

    def scalar(self, question: str, **values: Any) -> Any:
        with self.begin() as session:
            return session.execute(text(question), values).scalar_one()

    def row(self, name: LetterName) -> Mapping[str, Any]:
        with self.begin() as session:
            found = session.execute(text(f"SELECT * FROM {name.table} WHERE id = :id"), {"id": name.key})  # noqa: S608
            return dict(found.mappings().one())

    def drain(self) -> None:
        drain(self.begin, UnrenewedLeases(), KeptHints(), deployment=self.deployment, now=self.now)

    # --- one of each kind ---

    def event(self, purchase: Purchase | None = None) -> Dead:
        """Of a payment, for which nobody got any hours yet."""
        owner = add_student(self.begin, f"{new_id().hex}@example.com", at=self.now)
        sold = purchase or add_purchase(self.begin, at=self.now, state=PurchaseState.PENDING, student_id=owner)
        body = event_body("payment_intent.succeeded", intent_body(sold, self.deployment), at=self.now)
        name = self.die(LetterName("webhook_event", str(add_event(self.begin, body, at=self.now))))
        return Dead(name, self.drain, "applied")

    def purchase(self) -> Dead:
        """Its intent was asked for, and nobody knows whether it is there."""
        sold = self.returns.buy()
        self.returns.fail_with(unreachable())
        self.returns.work(sold)
        self.returns.leases.terms = UnrenewedLeases(lost_claims=0).terms
        self.returns.work(sold)
        self.returns.leases.terms = UnrenewedLeases().terms
        return Dead(LetterName("purchase", str(sold.id)), lambda: self.returns.work(sold), "failed")

    def payment_watch(self) -> Dead:
        """Its intent is there and can be paid, nothing was heard of it, and it is asked about for the last time."""
        sold = self.returns.work(self.returns.buy())
        ask = partial(ask_about_payment, self.returns.desk, AskAboutPayment(purchase_id=sold.id))
        name = self.die(LetterName("payment_watch", str(sold.id)))
        self.run("UPDATE payment_watch SET asks = :asks", asks=len(ASKS) - 1)
        return Dead(name, ask, "")

    def student_link(self) -> Dead:
        add_student(self.begin, at=self.now)
        link_id = new_id()
        self.run(LINK, id=link_id, now=self.now)
        follow = partial(follow_link, self.begin, UnrenewedLeases(), LinkStudent(link_id=link_id), now=self.now)
        return Dead(self.die(LetterName("student_link", str(link_id))), follow, "")

    def consumption_act(self) -> Dead:
        lessons = Lessons(self.begin, self.now)
        lessons.give(120)
        (booked,) = lessons.book(60)
        act = lessons.booking_of(booked)
        return Dead(self.die(LetterName("consumption_act", str(act.id))), lessons.work, "done")

    def staff_act(self) -> Dead:
        student = add_student(self.begin, at=self.now)
        act_id = self.room.accept(Grant(student_id=student, minutes=60, validity_days=30)).id
        return Dead(self.die(LetterName("staff_act", str(act_id))), lambda: self.room.perform(act_id), "done")

    def sweep_run(self) -> Dead:
        add_lots(self.begin, students=1, lots_each=1, expires_at=self.now - timedelta(days=3))
        run_id = open_sweep(self.begin, now=self.now)
        terms, message = UnrenewedLeases().terms, SweepLots(run_id=run_id)
        sweep = partial(sweep_lots, self.begin, terms, message, now=self.now)
        return Dead(self.die(LetterName("sweep_run", str(run_id))), sweep, "finished")

    def notification(self) -> Dead:
        lessons = Lessons(self.begin, self.now)
        lessons.give(60)
        lessons.consumed(60)
        (note_id, *_) = note_low(self.begin, lessons.student_id, now=self.now) or [self._newest_note()]
        send = partial(send_one, self.begin, KeptPost(), note_id, now=self.now)
        return Dead(self.die(LetterName("notification", str(note_id))), send, "sent")

    def refund(self) -> Dead:
        refund_id = self.returns.hold(self.returns.sold(used=60))
        name = self.die(LetterName("refund", str(refund_id)))
        return Dead(name, lambda: self.returns.send(refund_id), "succeeded")

    def stale_mark(self) -> Dead:
        sold = self.returns.sold()
        with self.begin() as session:
            mark(
                session,
                StaleKind.REFUNDS,
                intent_of(sold),
                purchase_id=sold.id,
                request_id="request-of-a-test",
                at=self.now,
            )
        mark_id = self.scalar("SELECT id FROM stale_mark")
        ask = partial(ask_stripe, self.returns.desk, AskStripe(mark_id=mark_id))
        return Dead(self.die(LetterName("stale_mark", str(mark_id))), ask, "")

    def receipt(self) -> Dead:
        sold = bought(self.begin, add_student(self.begin, at=self.now), at=self.now)
        with self.begin() as session:
            ask_for_receipts(session, [sold.id], now=self.now)
        receipt_id = self.scalar("SELECT id FROM receipt WHERE purchase_id = :id", id=sold.id)
        issue = partial(
            drain_receipts, self.begin, UnrenewedLeases(), KeptHints(), settings=self.settings, now=self.now
        )
        return Dead(self.die(LetterName("receipt", str(receipt_id))), issue, "issued")

    def export(self) -> Dead:
        add_students(self.begin, 3)
        export_id = ask(self.url, students_named(), at=self.now).id
        name = self.die(LetterName("export", str(export_id)))
        return Dead(name, partial(write, self.begin, export_id, now=self.now), "ready")

    def account_act(self) -> Dead:
        act_id = new_id()
        self.run(ACCOUNT_ACT, id=act_id, now=self.now)
        perform = partial(perform_account_act, self.returns.desk, PerformAccountAct(act_id=act_id))
        return Dead(self.die(LetterName("account_act", str(act_id))), perform, "refused")

    def message(self) -> LetterName:
        self.run(
            """
            INSERT INTO unreadable_message (digest, queue, task, reason, size_bytes, times, first_at, last_at)
            VALUES (:digest, 'money', 'nobody.knows', 'no such task', 9, 2, :first, :last)
            """,
            digest=new_id().hex,
            first=self.now - timedelta(days=1),
            last=self.now,
        )
        return LetterName("message", str(self.scalar("SELECT max(id) FROM unreadable_message")))

    def _newest_note(self) -> UUID:
        found: UUID = self.scalar("SELECT id FROM notification WHERE state = 'waiting' LIMIT 1")
        return found


EACH_KIND: Mapping[str, Callable[[Graveyard], Dead]] = {
    "purchase": Graveyard.purchase,
    "payment_watch": Graveyard.payment_watch,
    "webhook_event": Graveyard.event,
    "student_link": Graveyard.student_link,
    "consumption_act": Graveyard.consumption_act,
    "staff_act": Graveyard.staff_act,
    "sweep_run": Graveyard.sweep_run,
    "notification": Graveyard.notification,
    "refund": Graveyard.refund,
    "stale_mark": Graveyard.stale_mark,
    "receipt": Graveyard.receipt,
    "account_act": Graveyard.account_act,
    "export": Graveyard.export,
}
