"""Every kind of open work, and the hints that bring a worker to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from billing.models import (
    AccountAct,
    ConsumptionAct,
    Export,
    Notification,
    OpenWork,
    PaymentWatch,
    Purchase,
    Receipt,
    Refund,
    StaffAct,
    StaleMark,
    StudentLink,
    SweepRun,
    WebhookEvent,
)

EVENT_BATCH = 200
"""Events that one hint may bring into work."""

HOURS_BATCH = 200
"""Acts on hours that one hint may bring into work."""

RECEIPT_BATCH = 50
"""Receipts that one hint may bring into work."""


@dataclass(frozen=True, slots=True)
class OpenKind:
    model: type[OpenWork]
    hints: Callable[[Sequence[Any]], list[Message]]
    """From the ids of overdue rows to the messages that bring them back."""


def _payments(ids: Sequence[Any]) -> list[Message]:
    return [PreparePayment(purchase_id=purchase_id) for purchase_id in ids]


def _watches(ids: Sequence[Any]) -> list[Message]:
    return [AskAboutPayment(purchase_id=purchase_id) for purchase_id in ids]


def _events(ids: Sequence[Any]) -> list[Message]:
    return [EventsWaiting() for _ in range(0, len(ids), EVENT_BATCH)]


def _links(ids: Sequence[Any]) -> list[Message]:
    return [LinkStudent(link_id=link_id) for link_id in ids]


def _hours(ids: Sequence[Any]) -> list[Message]:
    return [HoursWaiting() for _ in range(0, len(ids), HOURS_BATCH)]


def _staff_acts(ids: Sequence[Any]) -> list[Message]:
    return [PerformStaffAct(act_id=act_id) for act_id in ids]


def _account_acts(ids: Sequence[Any]) -> list[Message]:
    return [PerformAccountAct(act_id=act_id) for act_id in ids]


def _sweeps(ids: Sequence[Any]) -> list[Message]:
    return [SweepLots(run_id=run_id) for run_id in ids]


def _notifications(ids: Sequence[Any]) -> list[Message]:
    return [SendNotification(notification_id=notification_id) for notification_id in ids]


def _refunds(ids: Sequence[Any]) -> list[Message]:
    return [SendRefund(refund_id=refund_id) for refund_id in ids]


def _stale_marks(ids: Sequence[Any]) -> list[Message]:
    return [AskStripe(mark_id=mark_id) for mark_id in ids]


def _receipts(ids: Sequence[Any]) -> list[Message]:
    return [ReceiptsWaiting() for _ in range(0, len(ids), RECEIPT_BATCH)]


def _exports(ids: Sequence[Any]) -> list[Message]:
    return [WriteExport(export_id=export_id) for export_id in ids]


OPEN_KINDS: Sequence[OpenKind] = (
    OpenKind(Purchase, _payments),
    OpenKind(WebhookEvent, _events),
    OpenKind(StudentLink, _links),
    OpenKind(ConsumptionAct, _hours),
    OpenKind(StaffAct, _staff_acts),
    OpenKind(SweepRun, _sweeps),
    OpenKind(Notification, _notifications),
    OpenKind(Refund, _refunds),
    OpenKind(StaleMark, _stale_marks),
    OpenKind(Receipt, _receipts),
    OpenKind(AccountAct, _account_acts),
    OpenKind(PaymentWatch, _watches),
    OpenKind(Export, _exports),
)
