"""What staff ask for: a committed row and a 202, or, for whoever waits, what a worker made of it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.errors import TransientError
from billing.ids import new_id
from billing.messages import PerformStaffAct
from billing.reads.staff_acts import ActView, find_act
from billing.staff.accept import AcceptedAct, ActRequest, accept_act
from billing.staff.wishes import Wish
from billing.states import ActState
from web.addresses import client_address
from web.answers import Json
from web.auth import Identity, Role
from web.door import Door
from web.errors import HttpError
from web.idempotency import digest_of, idempotency_key
from web.paths import staff_act_path
from web.prefer import applied, wait_seconds

Shown = Callable[[ActView], Awaitable[Mapping[str, Any]]]
"""What a done act brought, as its caller wants to see it."""

Accept = Callable[[AsyncConnection, ActRequest], Awaitable[AcceptedAct]]

STATUSES: Mapping[str, int] = {"not_found": 404, "validation_error": 400}
"""Of refusals; every other one is about the state that something is in: 409."""


async def staff_member(door: Door, request: Request) -> Identity:
    """Raises HttpError 401 without a token, 403 for everybody else's."""
    return await somebody_of(door, request, Role.STAFF, Role.ADMIN, words="This is for staff only.")


async def admin(door: Door, request: Request) -> Identity:
    """Who may move money. Raises HttpError 401 or 403."""
    return await somebody_of(door, request, Role.ADMIN, words="This is for administrators only.")


async def somebody_of(door: Door, request: Request, *roles: Role, words: str) -> Identity:
    """Raises HttpError 401 without a token, 403 with these words where it has none of the roles."""
    identity = await door.callers.required(request)
    if not identity.is_any_of(*roles):
        raise HttpError(403, "permission_denied", words)
    return identity


class StaffActs:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def ask(
        self,
        request: Request,
        who: Identity,
        wish: Wish,
        reason: str,
        shown: Shown,
        *,
        accept: Accept = accept_act,
        status: int = 200,
    ) -> Response:
        """The answer to a wish that was found good; `status` is that of what is done."""
        accepted = await self.accept(request, who, wish, reason, accept)
        wait = wait_seconds(request)
        if wait is None:
            return marked(_later(accepted), accepted)
        return marked(applied(await self._waited(request, accepted, wait, shown, status), wait), accepted)

    async def accept(
        self, request: Request, who: Identity, wish: Wish, reason: str, accept: Accept = accept_act
    ) -> AcceptedAct:
        """Committed, and on its way to a worker."""
        asked = self._asked(request, who, wish, reason)
        accepted = await self._door.change(lambda connection: accept(connection, asked))
        if not accepted.is_replay:
            self._door.hints.send(PerformStaffAct(act_id=accepted.id))
        return accepted

    def _asked(self, request: Request, who: Identity, wish: Wish, reason: str) -> ActRequest:
        key = idempotency_key(request)
        address = client_address(request, self._door.settings.trusted_proxies)
        understood = {"action": wish.action, "reason": reason, **wish.model_dump(mode="json")}
        return ActRequest(
            id=new_id(),
            wish=wish,
            reason=reason,
            actor=who.sub,
            address=str(address) if address else None,
            idempotency_key=key,
            body_hash=digest_of(understood) if key else None,
            request_id=request.scope["request_id"],
            requested_at=utc_now(),
        )

    async def _waited(self, request: Request, accepted: AcceptedAct, wait: int, shown: Shown, status: int) -> Response:
        """Once it is committed, no trouble may keep the caller from knowing its id.

        Raises HttpError where the act was refused.
        """
        if await self._door.decisions.until_decided(request, accepted.id, wait):
            with suppress(TransientError):
                act = await self._read(accepted.id)
                if act is not None and act.state is ActState.REFUSED:
                    raise refusal(act.error_type, act.error_message, wait)
                if act is not None and act.state is ActState.DONE:
                    return Json({"success": True, **await shown(act)}, status)
        return _later(accepted)

    async def _read(self, act_id: UUID) -> ActView | None:
        return await self._door.ask(lambda connection: find_act(connection, act_id))


def refusal(error_type: str | None, message: str | None, wait: int) -> HttpError:
    """Of a wrong field its path stands before the complaint."""
    word, words = error_type or "", message or "It was refused."
    status, told = STATUSES.get(word, 409), {"Preference-Applied": f"wait={wait}"}
    path, is_field, complaint = words.partition(": ")
    field_errors = {path: [complaint]} if is_field and status == HTTPStatus.BAD_REQUEST else None
    return HttpError(status, word, words, field_errors=field_errors, headers=told)


def _later(accepted: AcceptedAct) -> Response:
    path = staff_act_path(accepted.id)
    content = {"success": True, "id": str(accepted.id), "status": accepted.state, "status_url": path}
    return Json(content, 202, {"Location": path, "Retry-After": "1"})


def marked(answer: Response, accepted: AcceptedAct) -> Response:
    if accepted.is_replay:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer
