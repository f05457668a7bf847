"""A replay at the door: a wish that workers do, what became of it where the caller waits, or only its preview."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.deadletters.names import LetterName
from billing.deadletters.outcome import Standing, find_standing, until_over
from billing.deadletters.preview import Preview, Terms, preview
from billing.deadletters.reopen import Result
from billing.errors import NotFoundError, RefusedError
from billing.reads.staff_acts import ActView
from billing.staff.wishes import Replay
from web.answers import Json, instant
from web.auth import Identity
from web.bodies import read_json
from web.door import Door
from web.errors import HttpError, invalid, not_found
from web.pages import asked_flag
from web.prefer import wait_seconds
from web.staff.acts import StaffActs
from web.staff.bodies import ReasonBody
from web.waiting import unless_gone


class Replaying:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)

    async def answer(self, request: Request, who: Identity, name: LetterName) -> Response:
        """Raises HttpError 404 where there is no such row, 409 for a message that nobody could read."""
        is_dry = asked_flag(request, "dry_run")
        if is_dry is None:
            raise invalid("dry_run", "must be true or false")
        if is_dry:
            return Json({"success": True, "dry_run": True, **_named(name), **_seen(await self._preview(name))})
        body = ReasonBody.of(await read_json(request))
        over_at = asyncio.get_running_loop().time() + (wait_seconds(request) or 0)

        async def shown(act: ActView) -> Mapping[str, Any]:
            return {"id": str(act.id), **_named(name), **await self._became(request, name, act, over_at)}

        wish = Replay(kind=name.kind, subject=name.subject)
        return await self._acts.ask(request, who, wish, body.reason, shown)

    async def _preview(self, name: LetterName) -> Preview:
        settings = self._door.settings
        terms = Terms(settings.livemode, settings.zone, utc_now())
        try:
            return await self._door.change(lambda connection: preview(connection, name, terms))
        except NotFoundError:
            raise not_found() from None
        except RefusedError as error:
            raise HttpError(409, error.error_type, str(error)) from None

    async def _became(self, request: Request, name: LetterName, act: ActView, over_at: float) -> dict[str, Any]:
        """What a worker made of it in the time that is left."""
        after = dict(act.after or {})
        left = max(0.0, over_at - asyncio.get_running_loop().time())
        patience = left if after["result"] == Result.REOPENED else 0.0

        async def query(connection: AsyncConnection) -> Standing | None:
            return await find_standing(connection, name, after["newest_entry"])

        async def look() -> Standing | None:
            return await self._door.ask(query)

        following = until_over(look, patience, is_stopped=lambda: self._door.waiting.is_over)
        found = await unless_gone(request.receive, following)
        return {"result": after["result"], **(_stands(found) if found else {})}


def _named(name: LetterName) -> dict[str, Any]:
    return {"kind": name.kind, "subject": name.subject}


def _seen(found: Preview) -> dict[str, Any]:
    effects = {what: [dict(row) for row in rows] for what, rows in found.effects.items()}
    return {
        "result": found.result,
        "says": found.says,
        "outcome": found.outcome,
        "error": found.error,
        "effects": effects,
    }


def _stands(standing: Standing) -> dict[str, Any]:
    facts = asdict(standing)
    return {
        "became": standing.became,
        "state": standing.state,
        "detail": standing.detail,
        "reason": standing.reason,
        "due_at": standing.due_at and instant(standing.due_at),
        "ledger_entries": list(facts["entries"]),
    }
