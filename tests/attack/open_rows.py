"""One due row of each kind of open work, and what is there of it once it is done."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from billing.ids import installation_mark, new_id
from billing.messages import (
    AskAboutPayment,
    AskStripe,
    EventsWaiting,
    HoursWaiting,
    LinkStudent,
    PerformAccountAct,
    PerformStaffAct,
    PreparePayment,
    ReceiptsWaiting,
    SendNotification,
    SendRefund,
    SweepLots,
    WriteExport,
)
from billing.models import Purchase
from billing.notifications.send import MOST_SENDS
from billing.receipts.ask import ask_for_receipts
from billing.staff.wishes import Grant
from billing.stale.marks import mark
from billing.states import PurchaseState, StaleKind
from tests.attack.works import OpenRow, Works
from tests.support.exports import add_students, ask, rows_of, students_named
from tests.support.factories import add_event, add_purchase, add_student, event_body, intent_body, minutes_left
from tests.support.hours import Lessons
from tests.support.office import intent_of
from tests.support.records import bought
from tests.support.staff import StaffRoom
from tests.support.sweeps import add_lots, open_sweep

LINK = """
    INSERT INTO student_link (id, external_id, email, name, request_id, requested_at, due_at, hint_at)
    VALUES (:id, :account, :email, 'Ana', 'request-of-a-test', :now, clock_timestamp(), clock_timestamp())
"""
ACCOUNT_ACT = """
    INSERT INTO account_act (id, action, parameters, caller_sub, caller_email, caller_email_verified, caller_name,
        request_id, state, requested_at, due_at, hint_at)
    VALUES (:id, 'add_card', '{}', :account, :email, true, 'Ana', 'request-of-a-test', 'requested', :now,
        clock_timestamp(), clock_timestamp())
"""
WATCH = """
    INSERT INTO payment_watch (id, asks, request_id, began_at, due_at, hint_at)
    VALUES (:id, 0, 'request-of-a-test', :now, clock_timestamp(), clock_timestamp())
"""
ENTRIES = "SELECT count(*) FROM hour_entry WHERE source LIKE :source"
EXPIRED = """
    SELECT count(*), coalesce(sum(minutes), 0) FROM hour_entry WHERE kind = 'expire' AND student_id = ANY(:three)
"""


def purchase(works: Works) -> OpenRow:
    sold = add_purchase(works.begin, at=works.now, email=f"{new_id().hex}@example.com")
    mine = installation_mark(works.deployment.installation, sold.id)

    def effects() -> object:
        intents = [one for one in works.gateway.intents.values() if one.mark == mine]
        state, intent_id = works.one("SELECT state, payment_intent_id FROM purchase WHERE id = :id", id=sold.id)
        return state, len(intents), intent_id == (intents[0].id if intents else "")

    return OpenRow("purchase", sold.id, PreparePayment(purchase_id=sold.id), effects, ("pending", 1, True))


def event(works: Works) -> OpenRow:
    student, _ = works.student()
    sold = add_purchase(works.begin, at=works.now, state=PurchaseState.PENDING, student_id=student)
    body = event_body("payment_intent.succeeded", intent_body(sold, works.deployment), at=works.now)
    event_id = add_event(works.begin, body, at=works.now)

    def effects() -> object:
        state = works.one("SELECT state FROM webhook_event WHERE id = :id", id=event_id)
        return state, _credits(works, sold), minutes_left(works.begin, student)

    return OpenRow("webhook_event", event_id, EventsWaiting(), effects, ("applied", 1, 600))


def student_link(works: Works) -> OpenRow:
    guest, email = works.student()
    account = add_student(works.begin, f"{new_id().hex}@example.com", at=works.now, external_id=new_id().hex)
    bought(works.begin, guest, at=works.now)
    external_id = works.one("SELECT external_id FROM student WHERE id = :id", id=account)
    link_id = new_id()
    works.run(LINK, id=link_id, account=external_id, email=email, now=works.now)

    def effects() -> object:
        is_open = works.one("SELECT due_at IS NOT NULL FROM student_link WHERE id = :id", id=link_id)
        return is_open, minutes_left(works.begin, guest), minutes_left(works.begin, account)

    return OpenRow("student_link", link_id, LinkStudent(link_id=link_id), effects, (False, 0, 600))


def consumption_act(works: Works) -> OpenRow:
    lessons = Lessons(works.begin, works.now, f"{new_id().hex}@example.com")
    lessons.give(300)
    (booked,) = lessons.book(60, lessons.student_id)
    act = lessons.booking_of(booked)

    def effects() -> object:
        return lessons.ending(act.id), lessons.entries(booked.id), lessons.left()

    done = ("done", [("consume", -60)], 240)
    return OpenRow("consumption_act", act.id, HoursWaiting(), effects, done)


def staff_act(works: Works) -> OpenRow:
    student, _ = works.student()
    room = StaffRoom(works.begin, works.url, works.now)
    act_id = room.accept(Grant(student_id=student, minutes=60, validity_days=30)).id

    def effects() -> object:
        return room.row(act_id).state.value, minutes_left(works.begin, student)

    return OpenRow("staff_act", act_id, PerformStaffAct(act_id=act_id), effects, ("done", 60))


def sweep_run(works: Works) -> OpenRow:
    three = add_lots(works.begin, students=3, lots_each=1, expires_at=works.now - timedelta(days=3), name=new_id().hex)
    run_id = open_sweep(works.begin, now=works.now)

    def effects() -> object:
        state = works.one("SELECT state FROM sweep_run WHERE id = :id", id=run_id)
        return state, *works.one(EXPIRED, three=list(three))

    return OpenRow("sweep_run", run_id, SweepLots(run_id=run_id), effects, ("finished", 3, -180))


def notification(works: Works) -> OpenRow:
    lessons = Lessons(works.begin, works.now, f"{new_id().hex}@example.com")
    lessons.give(60)
    lessons.consumed(60)
    question = "SELECT id FROM notification WHERE student_id = :student AND state = 'waiting' LIMIT 1"
    note_id: UUID = works.one(question, student=lessons.student_id)
    recipient = works.one("SELECT email FROM student WHERE id = :id", id=lessons.student_id)

    def effects() -> object:
        """A mail that is sent twice has the same id: it is one to who reads it."""
        mails = [mail.message["Message-ID"] for mail in works.post.mails if mail.recipient == recipient]
        return works.one("SELECT state FROM notification WHERE id = :id", id=note_id), len(set(mails))

    hint = SendNotification(notification_id=note_id)
    return OpenRow("notification", note_id, hint, effects, ("sent", 1), MOST_SENDS)


def refund(works: Works) -> OpenRow:
    sold = works.returns.sold(used=60)
    refund_id = works.returns.hold(sold, 3_500)

    def effects() -> object:
        there = len(works.gateway.refunds_of(intent_of(sold)))
        return works.returns.refund(refund_id).state.value, there, works.returns.load(sold).refunded_cents

    return OpenRow("refund", refund_id, SendRefund(refund_id=refund_id), effects, ("succeeded", 1, 3_500))


def stale_mark(works: Works) -> OpenRow:
    """A refund that was made in Stripe's dashboard."""
    sold = works.returns.sold()
    works.gateway.refund_elsewhere(intent_of(sold), 7_000)
    ours: dict[str, Any] = {"purchase_id": sold.id, "request_id": "request-of-a-test", "at": works.now}
    with works.begin() as session:
        mark(session, StaleKind.REFUNDS, intent_of(sold), **ours)
    mark_id = works.one("SELECT id FROM stale_mark WHERE purchase_id = :id", id=sold.id)

    def effects() -> object:
        is_open = works.one("SELECT due_at IS NOT NULL FROM stale_mark WHERE id = :id", id=mark_id)
        taken_over = works.one("SELECT count(*) FROM refund WHERE purchase_id = :id", id=sold.id)
        return is_open, taken_over, works.returns.load(sold).refunded_cents

    return OpenRow("stale_mark", mark_id, AskStripe(mark_id=mark_id), effects, (False, 1, 7_000))


def receipt(works: Works) -> OpenRow:
    sold = bought(works.begin, works.student()[0], at=works.now)
    with works.begin() as session:
        ask_for_receipts(session, [sold.id], now=works.now)
    receipt_id = works.one("SELECT id FROM receipt WHERE purchase_id = :id", id=sold.id)

    def effects() -> object:
        """Every number that was drawn is on one receipt."""
        is_issued = works.one("SELECT issued_at IS NOT NULL FROM receipt WHERE id = :id", id=receipt_id)
        drawn = works.one("SELECT coalesce(max(last), 0) FROM receipt_counter")
        return is_issued, drawn == works.one("SELECT count(*) FROM receipt WHERE serial IS NOT NULL")

    return OpenRow("receipt", receipt_id, ReceiptsWaiting(), effects, (True, True))


def account_act(works: Works) -> OpenRow:
    _, email = works.student()
    act_id = new_id()
    works.run(ACCOUNT_ACT, id=act_id, account=new_id().hex, email=email, now=works.now)
    setups, customers = set(works.gateway.setups), set(works.gateway.customers)

    def effects() -> object:
        made = len(set(works.gateway.setups) - setups), len(set(works.gateway.customers) - customers)
        return works.one("SELECT state FROM account_act WHERE id = :id", id=act_id), *made

    return OpenRow("account_act", act_id, PerformAccountAct(act_id=act_id), effects, ("done", 1, 1))


def payment_watch(works: Works) -> OpenRow:
    """It was paid, and its event is lost."""
    student, _ = works.student()
    sold = add_purchase(works.begin, at=works.now, state=PurchaseState.PENDING, student_id=student)
    mine = installation_mark(works.deployment.installation, sold.id)
    works.gateway.add_paid(intent_of(sold), sold.price_cents, mine)
    works.run(WATCH, id=sold.id, now=works.now)

    def effects() -> object:
        asks = works.one("SELECT asks FROM payment_watch WHERE id = :id", id=sold.id)
        return asks, works.returns.load(sold).state.value, _credits(works, sold)

    return OpenRow("payment_watch", sold.id, AskAboutPayment(purchase_id=sold.id), effects, (1, "completed", 1))


def export(works: Works) -> OpenRow:
    name = f"{new_id().hex}.example"
    add_students(works.begin, 3, name=name)
    export_id = ask(works.url, students_named(name), at=works.now).id

    def effects() -> object:
        state = works.one("SELECT state FROM export WHERE id = :id", id=export_id)
        kept = works.one("SELECT coalesce(sum(rows), 0) FROM export_part WHERE export_id = :id", id=export_id)
        written = [row["E-mail"] for row in rows_of(works.begin, export_id)] if state == "ready" else []
        return state, kept, written

    done = ("ready", 3, [f"{number}@{name}" for number in (1, 2, 3)])
    return OpenRow("export", export_id, WriteExport(export_id=export_id), effects, done)


def _credits(works: Works, sold: Purchase) -> int:
    return int(works.one(ENTRIES, source=f"purchase:{sold.id}:paid%"))


EACH_KIND: Mapping[str, Callable[[Works], OpenRow]] = {
    "purchase": purchase,
    "webhook_event": event,
    "student_link": student_link,
    "consumption_act": consumption_act,
    "staff_act": staff_act,
    "sweep_run": sweep_run,
    "notification": notification,
    "refund": refund,
    "stale_mark": stale_mark,
    "receipt": receipt,
    "account_act": account_act,
    "payment_watch": payment_watch,
    "export": export,
}
KINDS: Sequence[str] = tuple(EACH_KIND)


def make(works: Works, kind: str) -> OpenRow:
    """Receipts that other rows have asked for are issued before: a batch takes all that wait."""
    if kind == "receipt":
        works.work(ReceiptsWaiting())
    return EACH_KIND[kind](works)
