"""Tables and their constraints; no queries. The database refuses what the domain forbids."""

from billing.models.columns import Instant, OpenWork, metadata
from billing.models.ledger import HourAllocation, HourEntry, HourLot, StudentBalance
from billing.models.plans import Installation, PricingPlan, PricingPlanVersion
from billing.models.purchases import Purchase, PurchaseTransition, StaffCase, StripeCall
from billing.models.students import Student, StudentLink
from billing.models.webhooks import BeatSlot, UnreadableMessage, WebhookEvent

__all__ = [
    "BeatSlot",
    "HourAllocation",
    "HourEntry",
    "HourLot",
    "Installation",
    "Instant",
    "OpenWork",
    "PricingPlan",
    "PricingPlanVersion",
    "Purchase",
    "PurchaseTransition",
    "StaffCase",
    "StripeCall",
    "Student",
    "StudentBalance",
    "StudentLink",
    "UnreadableMessage",
    "WebhookEvent",
    "metadata",
]
