"""Payments that a bank disputes, as staff see them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from billing.reads.disputes import (
    BookedView,
    DisputeFilter,
    DisputeView,
    booked_sessions,
    find_dispute,
    list_disputes,
)
from billing.states import DisputeState
from web.answers import Json, euros, hours, instant
from web.door import Door
from web.errors import not_found
from web.pages import asked_slice, page_answer
from web.staff.acts import staff_member
from web.staff.filters import NOTHING, NothingFitsError, number_asked_for, text_asked_for, word_asked_for


class StaffDisputeRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def listed(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            only = DisputeFilter(
                status=text_asked_for(request, "status"),
                state=word_asked_for(request, "state", DisputeState),
                transaction_id=number_asked_for(request, "transaction_id"),
            )
        except NothingFitsError:
            return page_answer(request, part, NOTHING, dispute_row)
        page = await self._door.ask(lambda connection: list_disputes(connection, part, only))
        return page_answer(request, part, page, dispute_row)

    async def shown(self, request: Request) -> Response:
        await staff_member(self._door, request)
        dispute_id = request.path_params["dispute_id"]

        async def found(connection: AsyncConnection) -> tuple[DisputeView | None, Sequence[BookedView]]:
            dispute = await find_dispute(connection, dispute_id)
            return dispute, await booked_sessions(connection, dispute.purchase_id) if dispute else ()

        dispute, booked = await self._door.ask(found)
        if dispute is None:
            raise not_found()
        return Json({"success": True, **dispute_row(dispute), "booked_sessions": [_session(one) for one in booked]})


def dispute_row(view: DisputeView) -> dict[str, Any]:
    return {
        "id": str(view.id),
        "stripe_dispute_id": view.stripe_dispute_id,
        "transaction_id": view.transaction_id,
        "amount": euros(view.amount_cents),
        "currency": view.currency,
        "reason": view.reason,
        "status": view.status,
        "state": view.state,
        "withdrawn": euros(view.withdrawn_cents),
        "minutes_frozen": view.minutes_frozen,
        "minutes_lost": view.minutes_lost,
        "minutes_short": view.minutes_short,
        "evidence_due_at": view.evidence_due_at and instant(view.evidence_due_at),
        "opened_at": instant(view.opened_at),
        "decided_at": view.decided_at and instant(view.decided_at),
        "student": _student(view),
    }


def _student(view: DisputeView) -> dict[str, Any] | None:
    if view.student_id is None:
        return None
    return {"id": view.student_id, "email": view.student_email, "name": view.student_name}


def _session(booked: BookedView) -> dict[str, Any]:
    return {
        "id": str(booked.consumption_id),
        "session_id": booked.session_id,
        "ends_at": instant(booked.ends_at),
        "hours": hours(booked.minutes),
        "minutes": booked.minutes,
    }
