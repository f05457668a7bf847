"""Where things are: every route answers under two prefixes, and answers name the first."""

from uuid import UUID

PREFIX = "/api/finances/api/"
PREFIXES = (PREFIX, "/api/finances/")


def purchase_path(purchase_id: UUID) -> str:
    return f"{PREFIX}purchase/{purchase_id}/"


def purchase_events_path(purchase_id: UUID) -> str:
    return f"{purchase_path(purchase_id)}events/"


def hours_path(booking_id: UUID) -> str:
    return f"{PREFIX}hour-consumptions/{booking_id}/"


def hours_act_path(booking_id: UUID, act_id: UUID) -> str:
    return f"{hours_path(booking_id)}acts/{act_id}/"


def staff_act_path(act_id: UUID) -> str:
    return f"{PREFIX}admin/payments/audit-log/{act_id}/"


def account_act_path(act_id: UUID) -> str:
    return f"{PREFIX}account-acts/{act_id}/"


def refund_path(refund_id: UUID) -> str:
    return f"{PREFIX}admin/payments/refunds/{refund_id}/"


def plan_path(plan_id: int) -> str:
    return f"{PREFIX}admin/plans/{plan_id}/"
