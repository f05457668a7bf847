"""Differences between Stripe and us, and cases: staff read them, the role `admin` closes them with a note."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.reads.findings import CaseView, FindingView, OpenFilter, page_cases, page_findings
from billing.reads.staff_acts import ActView
from billing.staff.wishes import CloseCase, CloseFinding
from billing.states import CaseState, FindingKind
from web.answers import euros, instant
from web.bodies import read_json
from web.door import Door
from web.errors import not_found
from web.pages import asked_slice, page_answer
from web.staff.acts import StaffActs, admin, staff_member
from web.staff.bodies import LARGEST_ID, NoteBody
from web.staff.filters import NOTHING, NUMBER, NothingFitsError, text_asked_for, word_asked_for


class FindingRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)

    async def findings(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            state = word_asked_for(request, "state", CaseState)
            only = OpenFilter(state, kind=word_asked_for(request, "kind", FindingKind))
        except NothingFitsError:
            return page_answer(request, part, NOTHING, finding_row)
        page = await self._door.ask(lambda connection: page_findings(connection, part, only))
        return page_answer(request, part, page, finding_row)

    async def cases(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            state = word_asked_for(request, "state", CaseState)
            only = OpenFilter(state, reason=text_asked_for(request, "reason"))
        except NothingFitsError:
            return page_answer(request, part, NOTHING, case_row)
        page = await self._door.ask(lambda connection: page_cases(connection, part, only))
        return page_answer(request, part, page, case_row)

    async def close_finding(self, request: Request) -> Response:
        who = await admin(self._door, request)
        body = NoteBody.of(await read_json(request))
        wish = CloseFinding(finding_id=request.path_params["finding_id"])
        return await self._acts.ask(request, who, wish, body.note, _closed)

    async def close_case(self, request: Request) -> Response:
        who = await admin(self._door, request)
        given = request.path_params["case_id"]
        if not NUMBER.fullmatch(given) or not 0 < int(given) <= LARGEST_ID:
            raise not_found()
        body = NoteBody.of(await read_json(request))
        return await self._acts.ask(request, who, CloseCase(case_id=int(given)), body.note, _closed)


async def _closed(act: ActView) -> Mapping[str, Any]:
    after = dict(act.after or {})
    return {"id": str(act.id), "target": act.target, "state": after["state"], "note": after["note"]}


def finding_row(found: FindingView) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "kind": found.kind,
        "source": found.source,
        "transaction_id": found.transaction_id,
        "detail": found.detail,
        "ours": None if found.ours_cents is None else euros(found.ours_cents),
        "theirs": None if found.theirs_cents is None else euros(found.theirs_cents),
        "owner": found.owner,
        "seen_at": instant(found.seen_at),
        **_ending(found),
    }


def case_row(case: CaseView) -> dict[str, Any]:
    return {
        "id": case.id,
        "reason": case.reason,
        "source": case.source,
        "transaction_id": case.transaction_id,
        "detail": case.detail,
        **_ending(case),
    }


def _ending(one: FindingView | CaseView) -> dict[str, Any]:
    return {
        "state": one.state,
        "opened_at": instant(one.opened_at),
        "closed_at": one.closed_at and instant(one.closed_at),
        "closed_by": one.closed_by,
        "note": one.note,
    }
