"""What the owner of an account asks for: a committed row and a 202, or, for whoever waits, what came of it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from billing.accounts.accept import AcceptedAct, AccountRequest, accept_act
from billing.clock import utc_now
from billing.errors import TransientError
from billing.ids import new_id
from billing.messages import PerformAccountAct
from billing.reads.account_acts import AccountActView, find_account_act
from billing.states import AccountAction, ActState
from web.accounts.shapes import act_content
from web.answers import Json
from web.auth import Identity
from web.door import Door
from web.errors import HttpError, not_found
from web.idempotency import digest_of, idempotency_key
from web.paths import account_act_path
from web.prefer import applied, wait_seconds
from web.schemas import NAME_LENGTH

Shown = Callable[[AccountActView], Awaitable[Mapping[str, Any]]]
"""What a done act brought, as its owner wants to see it."""

STATUSES: Mapping[str, int] = {
    "card_not_found": 404,
    "no_subscription": 404,
    "student_unknown": 404,
    "plan_unknown": 400,
}
"""Of refusals; every other one, of Stripe's too, is about the state that something is in: 409."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done, with what is kept of it in the row of the act."""

    action: AccountAction
    parameters: Mapping[str, Any] = field(default_factory=dict)


class AccountActs:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def shown(self, request: Request) -> Response:
        """How an act stands, for whoever asked for it."""
        who = await self._door.callers.required(request)
        act = await self._read(request.path_params["act_id"], who)
        if act is None:
            raise not_found()
        return Json(act_content(act, self._door.vault))

    async def ask(self, request: Request, who: Identity, wish: Wish, shown: Shown, status_code: int = 200) -> Response:
        """The answer to a wish that was found good; the status is that of its outcome."""
        accepted = await self._accept(request, who, wish)
        wait = wait_seconds(request)
        if wait is None:
            return _marked(_later(accepted), accepted)
        answer = await self._waited(request, who, accepted, wait, shown, status_code)
        return _marked(applied(answer, wait), accepted)

    async def _accept(self, request: Request, who: Identity, wish: Wish) -> AcceptedAct:
        """Committed, and on its way to a worker."""
        asked = _asked(request, who, wish)
        accepted = await self._door.change(lambda connection: accept_act(connection, asked))
        if not accepted.is_replay:
            self._door.hints.send(PerformAccountAct(act_id=accepted.id))
        return accepted

    async def _waited(
        self, request: Request, who: Identity, accepted: AcceptedAct, wait: int, shown: Shown, status_code: int
    ) -> Response:
        """Once it is committed, no trouble may keep the caller from knowing its id.

        Raises HttpError where the act was refused.
        """
        if await self._door.decisions.until_decided(request, accepted.id, wait):
            with suppress(TransientError):
                act = await self._read(accepted.id, who)
                if act is not None and act.state is ActState.REFUSED:
                    raise _refusal(act, wait)
                if act is not None and act.state is ActState.DONE:
                    return _done(act, await shown(act), status_code)
        return _later(accepted)

    async def _read(self, act_id: UUID, who: Identity) -> AccountActView | None:
        return await self._door.ask(lambda connection: find_account_act(connection, act_id, who.sub))


def _asked(request: Request, who: Identity, wish: Wish) -> AccountRequest:
    key = idempotency_key(request)
    understood = {"action": wish.action, **wish.parameters}
    return AccountRequest(
        id=new_id(),
        action=wish.action,
        parameters=wish.parameters,
        caller=who.caller,
        name=who.name[:NAME_LENGTH] or None,
        idempotency_key=key,
        body_hash=digest_of(understood) if key else None,
        request_id=request.scope["request_id"],
        requested_at=utc_now(),
    )


def _done(act: AccountActView, content: Mapping[str, Any], status_code: int) -> Response:
    return Json(content, status_code, {"Location": account_act_path(act.id)})


def _refusal(act: AccountActView, wait: int) -> HttpError:
    word = act.error_type or ""
    message, told = act.error_message or "It was refused.", {"Preference-Applied": f"wait={wait}"}
    return HttpError(STATUSES.get(word, 409), word, message, headers=told)


def _later(accepted: AcceptedAct) -> Response:
    path = account_act_path(accepted.id)
    content = {"success": True, "id": str(accepted.id), "status": accepted.state, "status_url": path}
    return Json(content, 202, {"Location": path, "Retry-After": "1"})


def _marked(answer: Response, accepted: AcceptedAct) -> Response:
    if accepted.is_replay:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer
