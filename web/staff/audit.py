"""What staff asked for and what became of it, page by page and one by one."""

from collections.abc import Callable
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from billing.reads.pages import Page
from billing.reads.staff_acts import ActFilter, ActView, find_act, list_acts
from billing.states import ActState, StaffAction
from web.answers import Json, instant
from web.auth import Role
from web.door import Door
from web.errors import not_found
from web.pages import NO, YES, asked_slice, page_answer
from web.staff.acts import somebody_of, staff_member
from web.staff.filters import NothingFitsError
from web.staff.periods import end_asked_for, start_asked_for

T = TypeVar("T")

NOTHING: Page[ActView] = Page(None, 0, ())


class AuditRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def listed(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            only = asked_acts(request, self._door.settings.zone)
        except (ValueError, NothingFitsError):
            return page_answer(request, part, NOTHING, act_row)
        page = await self._door.ask(lambda connection: list_acts(connection, part, only))
        return page_answer(request, part, page, act_row)

    async def shown(self, request: Request) -> Response:
        """The platform sees what it asked for itself."""
        roles = (Role.STAFF, Role.ADMIN, Role.SERVICE)
        who = await somebody_of(self._door, request, *roles, words="This is for staff only.")
        act_id = request.path_params["act_id"]
        act = await self._door.ask(lambda connection: find_act(connection, act_id))
        if act is None or not (act.actor == who.sub or who.is_any_of(Role.STAFF, Role.ADMIN)):
            raise not_found()
        return Json(act_row(act))


def act_row(act: ActView) -> dict[str, Any]:
    """`success` is null as long as nobody knows."""
    return {
        "id": str(act.id),
        "action": act.action,
        "actor": act.actor,
        "reason": act.reason,
        "target": act.target,
        "before": act.before,
        "after": act.after,
        "address": act.address,
        "status": act.state,
        "success": None if act.state is ActState.REQUESTED else act.state is ActState.DONE,
        "error_type": act.error_type,
        "error_message": act.error_message,
        "at": instant(act.requested_at),
        "decided_at": act.decided_at and instant(act.decided_at),
    }


def asked_acts(request: Request, zone: ZoneInfo) -> ActFilter:
    """An empty value is none. Raises ValueError or NothingFitsError for one that nothing fits."""

    def given(name: str, read: Callable[[str], T]) -> T | None:
        value = request.query_params.get(name)
        return read(value) if value else None

    return ActFilter(
        action=given("action", StaffAction),
        actor=given("actor", _text),
        target=given("target", _text),
        is_done=given("success", _flag),
        since=start_asked_for(request, zone),
        until=end_asked_for(request, zone),
    )


def _text(given: str) -> str:
    if "\0" in given:
        raise ValueError("no name has such a character")
    return given


def _flag(given: str) -> bool:
    if given.lower() not in (*YES, *NO):
        raise ValueError("neither yes nor no")
    return given.lower() in YES
