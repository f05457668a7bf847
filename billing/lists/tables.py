"""The lists by the names that addresses have for them: what each one is of, and by what its rows are found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import col

from billing.lists.dead_letters import DeadLetter
from billing.lists.search import Search, moved_by_event, moved_purchase, of_purchase, of_request, of_type
from billing.models import (
    Consumption,
    Dispute,
    Finding,
    HourEntry,
    HourLot,
    Notification,
    PaymentMethod,
    PricingPlan,
    PricingPlanVersion,
    Purchase,
    Receipt,
    ReconciliationRun,
    Refund,
    StaffAct,
    StaffCase,
    StaffSignIn,
    Student,
    Subscription,
    SweepRun,
    WebhookEvent,
)


@dataclass(frozen=True, slots=True)
class Table:
    model: type[Any]
    search: Search


TABLES: Mapping[str, Table] = {
    "student": Table(
        Student,
        Search(
            exact=[col(Student.external_id)],
            numbers=[col(Student.id)],
            texts=[col(Student.email), col(Student.name)],
        ),
    ),
    "mail": Table(
        Notification,
        Search(
            uuids=[col(Notification.id)],
            exact=[col(Notification.subject)],
            whose=col(Notification.student_id),
        ),
    ),
    "purchase": Table(
        Purchase,
        Search(
            exact=[col(Purchase.payment_intent_id), col(Purchase.stripe_invoice_id), col(Purchase.request_id)],
            numbers=[col(Purchase.transaction_id)],
            uuids=[col(Purchase.id)],
            texts=[col(Purchase.buyer_email), col(Purchase.buyer_name)],
            more=[moved_by_event],
        ),
    ),
    "refund": Table(
        Refund,
        Search(
            exact=[col(Refund.stripe_refund_id), col(Refund.request_id)],
            uuids=[col(Refund.id)],
            more=[of_purchase(col(Refund.purchase_id))],
        ),
    ),
    "dispute": Table(
        Dispute,
        Search(
            exact=[col(Dispute.stripe_dispute_id)],
            uuids=[col(Dispute.id)],
            more=[of_purchase(col(Dispute.purchase_id))],
        ),
    ),
    "subscription": Table(
        Subscription,
        Search(
            exact=[
                col(Subscription.stripe_subscription_id),
                col(Subscription.stripe_customer_id),
                col(Subscription.invoice_id),
            ],
            uuids=[col(Subscription.id)],
            whose=col(Subscription.student_id),
        ),
    ),
    "card": Table(
        PaymentMethod,
        Search(
            exact=[col(PaymentMethod.stripe_payment_method_id), col(PaymentMethod.last4)],
            uuids=[col(PaymentMethod.id)],
            whose=col(PaymentMethod.student_id),
        ),
    ),
    "receipt": Table(
        Receipt,
        Search(
            exact=[col(Receipt.invoice_ref)],
            numbers=[col(Receipt.serial)],
            uuids=[col(Receipt.id)],
            more=[of_purchase(col(Receipt.purchase_id))],
        ),
    ),
    "plan": Table(PricingPlan, Search(numbers=[col(PricingPlan.id)], texts=[col(PricingPlan.code)])),
    "version": Table(
        PricingPlanVersion,
        Search(
            numbers=[col(PricingPlanVersion.id), col(PricingPlanVersion.plan_id)],
            texts=[col(PricingPlanVersion.name)],
        ),
    ),
    "lot": Table(
        HourLot,
        Search(
            exact=[col(HourLot.source)],
            numbers=[col(HourLot.id)],
            whose=col(HourLot.student_id),
            more=[of_purchase(col(HourLot.purchase_id))],
        ),
    ),
    "entry": Table(
        HourEntry,
        Search(
            exact=[col(HourEntry.source)],
            numbers=[col(HourEntry.id)],
            uuids=[col(HourEntry.consumption_id)],
            whose=col(HourEntry.student_id),
            more=[of_purchase(col(HourEntry.purchase_id))],
        ),
    ),
    "consumption": Table(
        Consumption,
        Search(
            exact=[col(Consumption.session_id)],
            uuids=[col(Consumption.id), col(Consumption.group_id)],
            whose=col(Consumption.student_id),
        ),
    ),
    "sweep": Table(SweepRun, Search(numbers=[col(SweepRun.id)], whose=col(SweepRun.student_id))),
    "event": Table(
        WebhookEvent,
        Search(
            exact=[col(WebhookEvent.stripe_event_id)],
            more=[moved_purchase, of_type, of_request],
        ),
    ),
    "letter": Table(
        DeadLetter,
        Search(
            exact=[col(DeadLetter.subject), col(DeadLetter.digest), col(DeadLetter.kind)],
            texts=[col(DeadLetter.reason)],
        ),
    ),
    "finding": Table(
        Finding,
        Search(
            exact=[col(Finding.source)],
            uuids=[col(Finding.id)],
            texts=[col(Finding.detail)],
            more=[of_purchase(col(Finding.purchase_id))],
        ),
    ),
    "case": Table(
        StaffCase,
        Search(
            exact=[col(StaffCase.source), col(StaffCase.reason)],
            numbers=[col(StaffCase.id)],
            texts=[col(StaffCase.detail)],
            more=[of_purchase(col(StaffCase.purchase_id))],
        ),
    ),
    "reconciliation": Table(ReconciliationRun, Search(numbers=[col(ReconciliationRun.id)])),
    "act": Table(
        StaffAct,
        Search(
            exact=[col(StaffAct.target), col(StaffAct.actor), col(StaffAct.request_id)],
            uuids=[col(StaffAct.id)],
            texts=[col(StaffAct.reason)],
        ),
    ),
    "sign-in": Table(
        StaffSignIn,
        Search(exact=[col(StaffSignIn.sub)], uuids=[col(StaffSignIn.id)], texts=[col(StaffSignIn.name)]),
    ),
}
