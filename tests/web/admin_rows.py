"""One row of everything that the admin shows, all of one student, with keys by which they are found."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from billing.db import Begin
from billing.ids import new_id
from billing.models import (
    Consumption,
    Dispute,
    Finding,
    Notification,
    PaymentMethod,
    PurchaseTransition,
    Receipt,
    ReconciliationRun,
    Refund,
    StaffAct,
    StaffCase,
    Subscription,
    SweepRun,
)
from billing.states import (
    ActState,
    CaseState,
    ConsumptionMode,
    ConsumptionState,
    DisputeState,
    FindingKind,
    NotificationKind,
    NotificationState,
    PurchaseState,
    ReconciliationScope,
    RefundOrigin,
    RefundState,
    StaffAction,
    Step,
    SubscriptionStatus,
    SweepState,
    SweepTrigger,
)
from tests.support.factories import add_event, add_student, event_body
from tests.support.records import bought, taken

EMAIL = "ana@example.com"
INTENT_OF_EVENT = "pi_of_the_event"


@dataclass(frozen=True)
class Shown:
    student: int
    purchase: UUID
    transaction: int
    intent: str
    event: str
    event_number: int
    finding: UUID
    case: int
    act: UUID


def add_one_of_everything(begin: Begin, at: datetime) -> Shown:
    student = add_student(begin, EMAIL, at=at)
    purchase = bought(begin, student, at=at)
    with begin() as session:
        lot = session.execute(text("SELECT id FROM hour_lot")).scalar_one()
    taken(begin, lot, 60, at=at)
    body = event_body("payment_intent.succeeded", {"id": purchase.payment_intent_id, "receipt_email": EMAIL}, at=at)
    number = add_event(begin, body, at=at)
    act_id, finding_id = new_id(), new_id()
    transaction = purchase.transaction_id or 0
    rows = [
        *_of_purchase(purchase.id, body["id"], at),
        *_of_student(student, at),
        StaffAct(
            id=act_id,
            action=StaffAction.EXTEND,
            target=f"purchase:{transaction}",
            parameters={"transaction_id": transaction, "extension_days": 7},
            reason="Ana was ill.",
            actor="boss",
            address="192.0.2.7",
            request_id="request-of-an-act",
            state=ActState.DONE,
            before={"expires_at": None},
            after={"minutes_left": 540},
            requested_at=at,
            decided_at=at,
        ),
        Finding(
            id=finding_id,
            kind=FindingKind.AMOUNT,
            source="pi_elsewhere",
            purchase_id=purchase.id,
            detail="They differ by a cent.",
            ours_cents=14_000,
            theirs_cents=14_001,
            state=CaseState.OPEN,
            opened_at=at,
            seen_at=at,
        ),
        StaffCase(reason="difference", source="evt_case", purchase_id=purchase.id, detail="Look at it.", opened_at=at),
        ReconciliationRun(
            scope=ReconciliationScope.EVENTS, since=at, until=at, seen=3, recorded=1, found=1, started_at=at
        ),
        SweepRun(
            trigger=SweepTrigger.NIGHTLY,
            cutoff=at,
            grace_hours=24,
            state=SweepState.FINISHED,
            started_at=at,
            finished_at=at,
        ),
    ]
    with begin() as session:
        session.add_all(rows)
        session.execute(
            text("""
                UPDATE webhook_event SET due_at = NULL, hint_at = NULL, gave_up_at = clock_timestamp(), attempts = 3,
                    state = 'dead', last_error = 'ValueError: nothing fits'
            """)
        )
        session.flush()
        case = session.execute(text("SELECT id FROM staff_case ORDER BY id LIMIT 1")).scalar_one()
    intent = purchase.payment_intent_id or ""
    return Shown(student, purchase.id, transaction, intent, body["id"], number, finding_id, case, act_id)


def _of_purchase(purchase_id: UUID, event: str, at: datetime) -> list[object]:
    return [
        PurchaseTransition(purchase_id=purchase_id, step=Step.PAID, state=PurchaseState.COMPLETED, cause=event, at=at),
        Refund(
            id=new_id(),
            purchase_id=purchase_id,
            origin=RefundOrigin.EXTERNAL,
            amount_cents=100,
            currency="eur",
            minutes=0,
            state=RefundState.FAILED,
            stripe_refund_id="re_shown",
            request_id="r",
            created_at=at,
            decided_at=at,
        ),
        Dispute(
            id=new_id(),
            stripe_dispute_id="du_shown",
            purchase_id=purchase_id,
            amount_cents=14_000,
            currency="eur",
            reason="fraudulent",
            status="warning_needs_response",
            state=DisputeState.INQUIRY,
            opened_at=at,
        ),
        Receipt(
            id=new_id(),
            purchase_id=purchase_id,
            requested_at=at,
            year=2026,
            serial=77,
            facts={"seller": "Tutoring platform"},
            pdf=b"%PDF",
            issued_at=at,
        ),
    ]


def _of_student(student: int, at: datetime) -> list[object]:
    return [
        Consumption(
            id=new_id(),
            group_id=new_id(),
            student_id=student,
            session_id="lesson-7",
            mode=ConsumptionMode.CONSUME,
            minutes=60,
            state=ConsumptionState.CONSUMED,
            minutes_consumed=60,
            caller_sub="platform",
            requested_at=at,
            decided_at=at,
        ),
        Subscription(
            id=new_id(),
            student_id=student,
            stripe_subscription_id="sub_shown",
            stripe_customer_id="cus_shown",
            plan_version_id=1,
            status=SubscriptionStatus.ACTIVE,
            period_start=at,
            period_end=at + timedelta(days=30),
            began_at=at,
        ),
        PaymentMethod(
            id=new_id(),
            stripe_payment_method_id="pm_shown",
            student_id=student,
            brand="visa",
            last4="4242",
            exp_month=12,
            exp_year=2030,
            attached_at=at,
        ),
        Notification(
            id=new_id(),
            topic=NotificationKind.LOW_BALANCE,
            subject="balance:low",
            student_id=student,
            facts={"minutes": 60},
            state=NotificationState.SENT,
            created_at=at,
            decided_at=at,
        ),
    ]
