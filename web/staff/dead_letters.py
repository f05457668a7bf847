"""What gave up, as staff see it; who may move money works it anew, puts it aside or is done with it."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.deadletters.names import TABLES, LetterName
from billing.reads.deadletters import STATES, DeadLetterView, LetterFilter, page_dead_letters
from billing.reads.staff_acts import ActView
from billing.staff.wishes import Discard, Park
from web.answers import instant
from web.auth import Identity
from web.bodies import read_json
from web.door import Door
from web.errors import not_found
from web.pages import asked_slice, page_answer
from web.staff.acts import StaffActs, admin, staff_member
from web.staff.bodies import ReasonBody
from web.staff.filters import NOTHING, NothingFitsError, text_asked_for, word_asked_for
from web.staff.replaying import Replaying


class DeadLetterRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)
        self._replaying = Replaying(door)

    async def listed(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            only = LetterFilter(
                kind=word_asked_for(request, "kind", TABLES),
                error_class=text_asked_for(request, "error_class"),
                digest=text_asked_for(request, "digest"),
                state=word_asked_for(request, "state", STATES),
            )
        except NothingFitsError:
            return page_answer(request, part, NOTHING, letter_row)
        page = await self._door.ask(lambda connection: page_dead_letters(connection, part, only))
        return page_answer(request, part, page, letter_row)

    async def replay(self, request: Request) -> Response:
        who, name = await self._asked(request)
        return await self._replaying.answer(request, who, name)

    async def park(self, request: Request) -> Response:
        who, name = await self._asked(request)
        return await self._mark(request, who, name, Park(kind=name.kind, subject=name.subject))

    async def discard(self, request: Request) -> Response:
        who, name = await self._asked(request)
        return await self._mark(request, who, name, Discard(kind=name.kind, subject=name.subject))

    async def _asked(self, request: Request) -> tuple[Identity, LetterName]:
        """Raises HttpError 404 where no row can be called so."""
        who = await admin(self._door, request)
        name = LetterName.of(request.path_params["kind"], request.path_params["subject"])
        if name is None:
            raise not_found()
        return who, name

    async def _mark(self, request: Request, who: Identity, name: LetterName, wish: Park | Discard) -> Response:
        async def shown(act: ActView) -> Mapping[str, Any]:
            after = dict(act.after or {})
            return {"id": str(act.id), "kind": name.kind, "subject": name.subject, "state": after["state"]}

        body = ReasonBody.of(await read_json(request))
        return await self._acts.ask(request, who, wish, body.reason, shown)


def letter_row(letter: DeadLetterView) -> dict[str, Any]:
    return {
        "kind": letter.kind,
        "subject": letter.subject,
        "state": letter.state,
        "reason": letter.reason,
        "error_class": letter.error_class,
        "digest": letter.digest,
        "attempts": letter.attempts,
        "first_at": instant(letter.first_at),
        "at": instant(letter.at),
    }
