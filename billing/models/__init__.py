"""Tables and their constraints; no queries. The database refuses what the domain forbids."""

from billing.models.columns import Instant, OpenWork, metadata
from billing.models.consumptions import Consumption, ConsumptionAct
from billing.models.expiry import SweepRun
from billing.models.ledger import HourAllocation, HourEntry, HourLot, LedgerAudit, StudentBalance
from billing.models.notifications import Notification
from billing.models.plans import Installation, PricingPlan, PricingPlanVersion
from billing.models.purchases import Purchase, PurchaseTransition, StaffCase, StripeCall
from billing.models.receipts import Receipt, ReceiptCounter
from billing.models.refunds import Dispute, Refund, StaleMark
from billing.models.staff import StaffAct
from billing.models.students import Student, StudentLink
from billing.models.webhooks import BeatSlot, UnreadableMessage, WebhookEvent

__all__ = [
    "BeatSlot",
    "Consumption",
    "ConsumptionAct",
    "Dispute",
    "HourAllocation",
    "HourEntry",
    "HourLot",
    "Installation",
    "Instant",
    "LedgerAudit",
    "Notification",
    "OpenWork",
    "PricingPlan",
    "PricingPlanVersion",
    "Purchase",
    "PurchaseTransition",
    "Receipt",
    "ReceiptCounter",
    "Refund",
    "StaffAct",
    "StaffCase",
    "StaleMark",
    "StripeCall",
    "Student",
    "StudentBalance",
    "StudentLink",
    "SweepRun",
    "UnreadableMessage",
    "WebhookEvent",
    "metadata",
]
