"""Tables and their constraints; no queries. The database refuses what the domain forbids."""

from billing.models.accounts import AccountAct
from billing.models.columns import Instant, OpenWork, metadata
from billing.models.consumptions import Consumption, ConsumptionAct
from billing.models.customers import PaymentMethod, StripeCustomer
from billing.models.deadletters import DeadLetterMark
from billing.models.expiry import SweepRun
from billing.models.exports import Export, ExportPart
from billing.models.ledger import HourAllocation, HourEntry, HourLot, LedgerAudit, LotEnd, StudentBalance
from billing.models.notifications import Notification
from billing.models.plans import Installation, PricingPlan, PricingPlanVersion
from billing.models.purchases import PaymentWatch, Purchase, PurchaseTransition, StaffCase, StripeCall
from billing.models.receipts import Receipt, ReceiptCounter
from billing.models.reconciliation import Cursor, Finding, ReconciliationRun
from billing.models.refunds import Dispute, Refund, StaleMark
from billing.models.staff import StaffAct, StaffSignIn
from billing.models.students import Student, StudentLink
from billing.models.subscriptions import StripePrice, Subscription
from billing.models.webhooks import BeatSlot, UnreadableMessage, WebhookEvent

__all__ = [
    "AccountAct",
    "BeatSlot",
    "Consumption",
    "ConsumptionAct",
    "Cursor",
    "DeadLetterMark",
    "Dispute",
    "Export",
    "ExportPart",
    "Finding",
    "HourAllocation",
    "HourEntry",
    "HourLot",
    "Installation",
    "Instant",
    "LedgerAudit",
    "LotEnd",
    "Notification",
    "OpenWork",
    "PaymentMethod",
    "PaymentWatch",
    "PricingPlan",
    "PricingPlanVersion",
    "Purchase",
    "PurchaseTransition",
    "Receipt",
    "ReceiptCounter",
    "ReconciliationRun",
    "Refund",
    "StaffAct",
    "StaffCase",
    "StaffSignIn",
    "StaleMark",
    "StripeCall",
    "StripeCustomer",
    "StripePrice",
    "Student",
    "StudentBalance",
    "StudentLink",
    "Subscription",
    "SweepRun",
    "UnreadableMessage",
    "WebhookEvent",
    "metadata",
]
