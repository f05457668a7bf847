"""What was bought, what is left of it, and every movement of hours, page by page."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.history import TransactionView, history_of
from billing.reads.ledger import EntryView, Explanation, explain, ledger_of
from billing.reads.pages import Filter, Slice
from billing.reads.purchased import PurchasedView, TakenView, purchased_by
from billing.reads.whose import Whose
from web.answers import Json, euros, hours, instant
from web.days import end_of
from web.door import Door
from web.packages import package_row
from web.pages import asked_filter, asked_flag, asked_slice, page_answer, page_body
from web.whose import found_or_404, whose_records

NOTHING = Filter(states=())


class HistoryRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def history(self, request: Request) -> Response:
        whose, part, only = await self._asked(request)
        page = await self._door.ask(lambda connection: history_of(connection, whose, part, only))
        found_or_404(page.student_id, whose)
        return page_answer(request, part, page, transaction_row)

    async def purchases(self, request: Request) -> Response:
        whose, part, only = await self._asked(request)
        now, zone = utc_now(), self._door.settings.zone
        active, consumption = asked_flag(request, "active_only"), asked_flag(request, "include_consumption")
        page = await self._door.ask(
            lambda connection: purchased_by(
                connection,
                whose,
                part,
                NOTHING if active is None or consumption is None else only,
                now=now,
                active_only=bool(active),
                with_consumption=bool(consumption),
            )
        )
        found_or_404(page.student_id, whose)
        return page_answer(request, part, page, lambda row: {**package_row(row.package, now, zone), **_taken(row)})

    async def ledger(self, request: Request) -> Response:
        whose, part, only = await self._asked(request)
        if at := request.query_params.get("at"):
            return await self._explained(request, whose, part, only, end_of(at, self._door.settings.zone))
        page = await self._door.ask(lambda connection: ledger_of(connection, whose, part, only))
        found_or_404(page.student_id, whose)
        return page_answer(request, part, page, _entry)

    async def _explained(self, request: Request, whose: Whose, part: Slice, only: Filter, until: datetime) -> Response:
        page, explanation = await self._door.ask(lambda connection: explain(connection, whose, part, until, only))
        found_or_404(page.student_id, whose)
        return Json({**page_body(request, part, page, _entry), "explanation": _explanation(explanation)})

    async def _asked(self, request: Request) -> tuple[Whose, Slice, Filter]:
        identity = await self._door.student(request)
        return whose_records(request, identity), asked_slice(request), asked_filter(request)


def transaction_row(view: TransactionView) -> dict[str, Any]:
    return {
        "transaction_id": view.transaction_id,
        "task_id": str(view.task_id),
        "transaction_type": view.transaction_type,
        "plan_name": view.plan_name,
        "amount": euros(view.amount_cents),
        "refunded_eur": euros(view.refunded_cents),
        "payment_status": view.payment_status,
        "expires_at": view.expires_at and instant(view.expires_at),
        "created_at": instant(view.created_at),
        "paid_at": view.paid_at and instant(view.paid_at),
    }


def _entry(view: EntryView) -> dict[str, Any]:
    return {
        "id": view.id,
        "at": instant(view.at),
        "kind": view.kind,
        "hours": hours(view.minutes),
        "minutes": view.minutes,
        "transaction_id": view.transaction_id,
        "source": view.source,
        "balance_after": hours(view.balance_after),
    }


def _taken(row: PurchasedView) -> dict[str, Any]:
    return {} if row.taken is None else {"consumption": _consumption(row.taken)}


def _consumption(taken: Sequence[TakenView]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.entry_id,
            "at": instant(one.at),
            "kind": one.kind,
            "hours": hours(one.minutes),
            "minutes": one.minutes,
            "source": one.source,
        }
        for one in taken
    ]


def _explanation(explained: Explanation) -> dict[str, Any]:
    """Minutes add up exactly; hours are for reading."""
    return {
        "at": instant(explained.at),
        "minutes_by_kind": {str(kind): minutes for kind, minutes in explained.minutes_by_kind.items()},
        "minutes": explained.minutes,
        "hours": hours(explained.minutes),
        "minutes_expired_unwritten": explained.minutes_expired_unwritten,
        "minutes_remaining": explained.minutes_remaining,
        "remaining_hours": hours(explained.minutes_remaining),
    }
