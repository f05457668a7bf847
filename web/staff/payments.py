"""Purchases of everybody as staff look through them, and what they brought in a window of time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.payment_metrics import PaymentMetricsView, payment_metrics
from billing.reads.transactions import Ordering, StaffTransactionView, TransactionFilter, list_transactions
from billing.states import EventState, PurchaseState
from web.answers import Json, euros, hours, instant
from web.door import Door
from web.errors import HttpError, invalid
from web.histories import transaction_row
from web.pages import asked_filter, asked_slice, page_answer
from web.staff.acts import staff_member
from web.staff.filters import NOTHING, NUMBER, NothingFitsError, text_asked_for
from web.staff.periods import end_asked_for, start_asked_for

LONGEST_TERM = 255
"""No column that is searched holds more."""

HOURS, MOST_HOURS, MOST_DAYS = 24, 8760, 365
ORDERINGS = ", ".join(Ordering)


class StaffPaymentRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def transactions(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part, ordering = asked_slice(request), _ordering(request)
        try:
            only = self._asked(request)
        except NothingFitsError:
            return page_answer(request, part, NOTHING, staff_row)
        page = await self._door.ask(lambda connection: list_transactions(connection, part, only, ordering))
        return page_answer(request, part, page, staff_row)

    async def metrics(self, request: Request) -> Response:
        await staff_member(self._door, request)
        window, until = _window(request), utc_now()
        since = until - window
        found = await self._door.ask(lambda connection: payment_metrics(connection, since=since, until=until))
        told = {"from": instant(since), "to": instant(until), "hours": window // timedelta(hours=1)}
        return Json({"success": True, "window": told, **metrics_body(found)})

    def _asked(self, request: Request) -> TransactionFilter:
        """Raises HttpError 400 for a time that is none, NothingFitsError for a text that no purchase can have."""
        zone = self._door.settings.zone
        return TransactionFilter(
            kinds=asked_filter(request),
            since=_time(request, "date_from", start_asked_for, zone),
            until=_time(request, "date_to", end_asked_for, zone),
            term=_term(request),
        )


def staff_row(view: StaffTransactionView) -> dict[str, Any]:
    """As its buyer sees it, and whose it is."""
    return {
        **transaction_row(view.transaction),
        "student": _student(view),
        "buyer_name": view.buyer_name,
        "buyer_email": view.buyer_email,
        "payment_intent_id": view.payment_intent_id,
        "error_type": view.error_type,
    }


def _student(view: StaffTransactionView) -> dict[str, Any] | None:
    if view.student_id is None:
        return None
    return {"id": view.student_id, "name": view.student_name, "email": view.student_email}


def metrics_body(found: PaymentMetricsView) -> dict[str, Any]:
    percent = found.success_percent
    return {
        "purchases": {
            "accepted": found.accepted,
            "completed": found.completed,
            "failed": found.purchases[PurchaseState.FAILED],
            "cancelled": found.purchases[PurchaseState.CANCELLED],
            "expired": found.purchases[PurchaseState.EXPIRED],
            "pending": found.pending,
        },
        "revenue": _revenue(found),
        "hours": {name: hours(getattr(found.hours, name)) for name in found.hours.__slots__},
        "refunds": {
            "count": found.refunds.count,
            "amount_eur": euros(found.refunds.cents),
            "failed": found.refunds.failed,
        },
        "disputes": {name: getattr(found.disputes, name) for name in ("opened", "won", "lost", "open")},
        "success_rate": None if percent is None else euros(percent),
        "webhooks": _webhooks(found),
        "by_plan": [
            {"plan_name": plan.plan_name, "count": plan.count, "amount_eur": euros(plan.cents)} for plan in found.plans
        ],
    }


def _revenue(found: PaymentMetricsView) -> dict[str, str]:
    return {
        "gross_eur": euros(found.gross_cents),
        "refunded_eur": euros(found.refunds.cents),
        "disputed_eur": euros(found.disputes.lost_cents),
        "net_eur": euros(found.net_cents),
    }


def _webhooks(found: PaymentMetricsView) -> dict[str, int]:
    """Those that are neither here nor there yet are among the received only."""
    ends = (EventState.APPLIED, EventState.IGNORED, EventState.PARKED, EventState.DEAD)
    return {"received": sum(found.events.values()), **{state.value: found.events[state] for state in ends}}


def _ordering(request: Request) -> Ordering:
    """Raises HttpError 400 for one that is not there."""
    given = request.query_params.get("ordering")
    try:
        return Ordering(given) if given else Ordering.NEWEST
    except ValueError:
        raise invalid("ordering", f"must be one of {ORDERINGS}") from None


def _term(request: Request) -> str | None:
    """Raises NothingFitsError for one that is longer than anything it could be found in."""
    given = (text_asked_for(request, "search") or "").strip()
    if len(given) > LONGEST_TERM:
        raise NothingFitsError
    return given or None


def _time(
    request: Request, name: str, read: Callable[[Request, ZoneInfo], datetime | None], zone: ZoneInfo
) -> datetime | None:
    """Raises HttpError 400 where it is neither a date nor an instant."""
    try:
        return read(request, zone)
    except NothingFitsError:
        words = "must be a date such as 2026-03-01, or an instant with its zone such as 2026-03-01T12:00:00Z"
        raise invalid(name, words) from None


def _window(request: Request) -> timedelta:
    """A day is 24 hours. Raises HttpError 400 for a length out of range, or for two of them."""
    given = {name for name in ("hours", "days") if name in request.query_params}
    if len(given) == 2:
        raise _both()
    if "days" in given:
        return timedelta(days=_number(request, "days", MOST_DAYS))
    return timedelta(hours=_number(request, "hours", MOST_HOURS) if given else HOURS)


def _number(request: Request, name: str, most: int) -> int:
    given = request.query_params[name]
    if not NUMBER.fullmatch(given) or not 1 <= int(given) <= most:
        raise invalid(name, f"must be an integer from 1 to {most}")
    return int(given)


def _both() -> HttpError:
    complaint = "may not be given beside the other one"
    fields = {name: [complaint] for name in ("hours", "days")}
    return HttpError(400, "validation_error", f"hours, days: {complaint}", field_errors=fields)
