"""One page for a student: what there is, all that happened, and why the balance of any date was what it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette_admin import route

from billing.clock import utc_now
from billing.lists.search import number_of
from billing.reads.balances import BalanceView, balance_of, written_sums
from billing.reads.ledger import EntryView, Explanation, explain
from billing.reads.pages import Page, Slice
from billing.reads.students import StudentView, find_student
from billing.reads.timeline import MOST, MomentView, timeline_of
from billing.reads.whose import of_id
from billing.reads.written import euros, hours
from web.admin.lists.fields import local, place_of
from web.admin.page import OwnPage
from web.admin.sessions import officer_of
from web.days import end_of
from web.door import Door
from web.errors import HttpError

SHOWN_ENTRIES = Slice(1, 100)


@dataclass(frozen=True, slots=True)
class Found:
    student: StudentView
    balance: BalanceView
    moments: Sequence[MomentView]


class StudentPage(OwnPage):
    """In place of the plain page of a row."""

    menu_label = "Student"
    path = "/student/detail"
    route_name = "student-page"
    add_to_menu = False

    def __init__(self, door: Door) -> None:
        super().__init__()
        self._door = door

    @route("")
    async def index(self, request: Request) -> Response:
        found = await self._find(request)
        day = request.query_params.get("at", "")
        explained, complaint = None, None
        if day:
            explained, complaint = await self._explain(request, found.student.id, day)
        context = {
            "title": found.student.email,
            "student": found.student,
            "sums": _sums(found.balance),
            "moments": [_moment(one, request) for one in found.moments],
            "older": found.moments[-1].at.isoformat() if len(found.moments) == MOST else None,
            "day": day,
            "explained": explained,
            "complaint": complaint,
            "is_admin": officer_of(request).is_admin,
            "local": lambda at: local(at, request),
        }
        return self.page(request, "admin/student.html", context, 400 if complaint else 200)

    async def _find(self, request: Request) -> Found:
        """Raises HTTPException 404 where there is no such student."""
        given, now = request.query_params.get("pk", ""), utc_now()
        before = _before(request.query_params.get("before")) or datetime.max.replace(tzinfo=UTC)

        async def query(connection: AsyncConnection) -> Found | None:
            student = await find_student(connection, of_id(given))
            if student is None:
                return None
            balance = await balance_of(connection, of_id(str(student.id)), now=now)
            moments = await timeline_of(connection, student.id, before=before)
            return Found(student, balance or BalanceView(), moments)

        found = await self._door.ask(query) if number_of(given) is not None else None
        if found is None:
            raise HTTPException(404, "There is no such student.")
        return found

    async def _explain(self, request: Request, student_id: int, day: str) -> tuple[dict[str, Any] | None, str | None]:
        """The sums up to the end of that day, or of that instant, and what is wrong with what was written."""
        try:
            until = end_of(day, self._door.settings.zone)
        except HttpError as error:
            return None, error.problem.message

        async def query(connection: AsyncConnection) -> tuple[Page[EntryView], Explanation]:
            return await explain(connection, of_id(str(student_id)), SHOWN_ENTRIES, until)

        page, explanation = await self._door.ask(query)
        return _explained(page, explanation, request), None


def _before(given: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(given or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def _sums(balance: BalanceView) -> dict[str, str]:
    sums = {name.replace("_", " ").capitalize(): value for name, value in written_sums(balance).items()}
    return {
        "Paid, less what went back (€)" if name == "Balance amount" else name: value for name, value in sums.items()
    }


def _moment(moment: MomentView, request: Request) -> dict[str, Any]:
    return {
        "at": local(moment.at, request),
        "kind": moment.kind,
        "what": moment.what.replace("_", " "),
        "detail": moment.detail,
        "hours": None if moment.minutes is None else hours(moment.minutes),
        "euros": None if moment.cents is None else euros(moment.cents),
        "place": moment.place,
        "url": None if moment.place is None else place_of(moment.place),
    }


def _explained(page: Page[EntryView], explanation: Explanation, request: Request) -> dict[str, Any]:
    return {
        "at": local(explanation.at, request),
        "by_kind": [(kind.value, hours(minutes)) for kind, minutes in explanation.minutes_by_kind.items()],
        "sum": hours(explanation.minutes),
        "unwritten": hours(-explanation.minutes_expired_unwritten),
        "remaining": hours(explanation.minutes_remaining),
        "count": page.count,
        "rows": [
            (local(one.at, request), one.kind.value, hours(one.minutes), hours(one.balance_after), one.source)
            for one in page.rows
        ],
    }
