"""Hours for sessions, as the tutoring platform takes, holds, captures, releases and gives them back."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.consumptions.accept import AcceptedBooking, BookingRequest
from billing.consumptions.accept_acts import AcceptedAct, ActRequest
from billing.errors import TransientError
from billing.ids import new_id
from billing.reads.consumptions import BookingView, find_booking
from billing.states import ActState, ConsumptionActKind
from web.answers import Json
from web.auth import Identity, Role
from web.bodies import read_json, read_json_if_any
from web.door import Door
from web.errors import HttpError, not_found
from web.hour_resource import REFUSALS, REFUSED, act_content, booking_content
from web.hour_schemas import Amount, BookingBody, CaptureBody, RefundBody
from web.idempotency import digest_of, idempotency_key, scope_of
from web.paths import hours_act_path, hours_path
from web.prefer import applied, wait_seconds

K = ConsumptionActKind


class HourRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def book(self, request: Request) -> Response:
        platform = await self._platform(request)
        key, now = idempotency_key(request), utc_now()
        body = BookingBody.of(await read_json(request)).in_time(now)
        members = [(new_id(), named) for named in body.names]
        wish = BookingRequest(
            id=members[0][0] if len(members) == 1 else new_id(),
            act_id=new_id(),
            members=members,
            path=body.path,
            session_id=body.session_id,
            mode=body.mode,
            minutes=body.asked or 0,
            ends_at=body.ends_at,
            scope=scope_of(platform, ""),
            idempotency_key=key,
            body_hash=digest_of(body.wish) if key else None,
            caller_sub=platform.sub,
            request_id=request.scope["request_id"],
            requested_at=now,
        )
        accepted = await self._door.hours.book(wish)
        return _marked(await self._booked(request, accepted), accepted)

    async def shown(self, request: Request) -> Response:
        await self._reader(request)
        return Json(booking_content(await self._found(request)))

    async def act(self, request: Request) -> Response:
        await self._reader(request)
        booking = await self._found(request)
        act = booking.acts.get(request.path_params["act_id"])
        if act is None:
            raise not_found()
        return Json(act_content(act, booking))

    async def capture(self, request: Request) -> Response:
        platform = await self._platform(request)
        return await self._act(request, platform, K.CAPTURE, CaptureBody.of(await read_json_if_any(request)))

    async def release(self, request: Request) -> Response:
        """There is nothing to say about it: a body is not looked at."""
        return await self._act(request, await self._platform(request), K.RELEASE, Amount())

    async def refund(self, request: Request) -> Response:
        platform = await self._platform(request)
        body = RefundBody.of(await read_json(request))
        return await self._act(request, platform, K.REFUND, body, body.reason)

    async def _act(
        self, request: Request, platform: Identity, kind: ConsumptionActKind, body: Amount, reason: str | None = None
    ) -> Response:
        key, subject = idempotency_key(request), request.path_params["booking_id"]
        understood = {"act": kind, "subject": str(subject), "minutes": body.asked, "reason": reason}
        wish = ActRequest(
            id=new_id(),
            act=kind,
            subject=subject,
            minutes=body.asked,
            reason=reason,
            scope=scope_of(platform, ""),
            idempotency_key=key,
            body_hash=digest_of(understood) if key else None,
            request_id=request.scope["request_id"],
            requested_at=utc_now(),
        )
        accepted = await self._door.hours.act(wish)
        if accepted is None:
            raise not_found()
        return _marked(await self._acted(request, subject, accepted), accepted)

    async def _booked(self, request: Request, accepted: AcceptedBooking) -> Response:
        path = hours_path(accepted.id)
        later = _later(accepted.id, accepted.state, path)
        wait = wait_seconds(request)
        if wait is None:
            return later
        booking = await self._decided(request, accepted.id, accepted.act_id, wait)
        return applied(later if booking is None else Json(booking_content(booking), 201, {"Location": path}), wait)

    async def _acted(self, request: Request, subject: UUID, accepted: AcceptedAct) -> Response:
        later = _later(accepted.id, accepted.state, hours_act_path(subject, accepted.id))
        wait = wait_seconds(request)
        if wait is None:
            return later
        booking = await self._decided(request, subject, accepted.id, wait)
        return applied(later if booking is None else Json(booking_content(booking)), wait)

    async def _decided(self, request: Request, subject: UUID, act_id: UUID, wait: int) -> BookingView | None:
        """What was booked once the act is done; None where it is not, or where that cannot be found out in time.

        Once it is committed, no trouble may keep the caller from knowing its id. Raises HttpError 409 where the act
        was refused.
        """
        if not await self._door.decisions.until_decided(request, act_id, wait):
            return None
        with suppress(TransientError):
            booking = await self._door.ask(lambda connection: find_booking(connection, subject))
            if booking is None or (act := booking.acts[act_id]).state is ActState.REQUESTED:
                return None
            if act.error_type:
                raise _refusal(act.error_type, wait)
            return booking
        return None

    async def _found(self, request: Request) -> BookingView:
        booking_id = request.path_params["booking_id"]
        booking = await self._door.ask(lambda connection: find_booking(connection, booking_id))
        if booking is None:
            raise not_found()
        return booking

    async def _platform(self, request: Request) -> Identity:
        return await self._one_of(request, Role.SERVICE)

    async def _reader(self, request: Request) -> Identity:
        return await self._one_of(request, Role.SERVICE, Role.STAFF, Role.ADMIN)

    async def _one_of(self, request: Request, *roles: Role) -> Identity:
        identity = await self._door.callers.required(request)
        if not identity.is_any_of(*roles):
            raise HttpError(403, "permission_denied", "This is for the platform itself.")
        return identity


def _later(subject: UUID, status: str, path: str) -> Response:
    content: dict[str, Any] = {"success": True, "id": str(subject), "status": status, "status_url": path}
    return Json(content, 202, {"Location": path, "Retry-After": "1"})


def _marked(answer: Response, accepted: AcceptedBooking | AcceptedAct) -> Response:
    if accepted.is_replay:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _refusal(error_type: str, wait: int) -> HttpError:
    message = REFUSALS.get(error_type, REFUSED)
    return HttpError(409, error_type, message, headers={"Preference-Applied": f"wait={wait}"})
