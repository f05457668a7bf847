"""Stripe's events as staff see them: how each stands, and how to work one anew."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.deadletters.names import LetterName
from billing.reads.events import EventFilter, EventView, find_event, page_events
from billing.states import EventState
from web.answers import Json, instant
from web.door import Door
from web.errors import not_found
from web.pages import asked_slice, page_body
from web.staff.acts import admin, staff_member
from web.staff.filters import NothingFitsError, text_asked_for, word_asked_for
from web.staff.periods import end_asked_for, start_asked_for
from web.staff.replaying import Replaying

NONE = EventFilter(state="nonsense")
"""Nothing has such a state."""


class StaffWebhookRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._replaying = Replaying(door)

    async def status(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            only = self._asked(request)
        except NothingFitsError:
            only = NONE
        found = await self._door.ask(lambda connection: page_events(connection, part, only))
        counts = {state.value: found.counts.get(state, 0) for state in EventState}
        p50, p95 = found.lags or (None, None)
        body = page_body(request, part, found.page, event_row)
        return Json({**body, "counts": counts, "lag_seconds": {"p50": p50, "p95": p95}})

    async def replay(self, request: Request) -> Response:
        """By Stripe's id or ours. Raises HttpError 404 for an event that never came."""
        who = await admin(self._door, request)
        given = request.path_params["event_id"]
        found = None if "\0" in given else await self._door.ask(lambda connection: find_event(connection, given))
        if found is None:
            raise not_found()
        return await self._replaying.answer(request, who, LetterName("webhook_event", str(found[0].id)))

    def _asked(self, request: Request) -> EventFilter:
        """Raises NothingFitsError."""
        zone = self._door.settings.zone
        return EventFilter(
            state=word_asked_for(request, "status", EventState),
            type=text_asked_for(request, "event_type"),
            search=text_asked_for(request, "search"),
            since=start_asked_for(request, zone),
            until=end_asked_for(request, zone),
        )


def event_row(event: EventView) -> dict[str, Any]:
    return {
        "stripe_event_id": event.stripe_event_id,
        "event_type": event.type,
        "status": event.state,
        "outcome": event.outcome,
        "attempts": event.attempts,
        "error_message": event.last_error,
        "received_at": instant(event.received_at),
        "processed_at": event.processed_at and instant(event.processed_at),
    }
