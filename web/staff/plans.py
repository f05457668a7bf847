"""Plans as staff see them; the role `admin` makes them, edits them by new versions, and says where they are shown."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from billing.plans.terms import PlanTermsError
from billing.reads.plans import PlanView, find_plan, find_plans, find_shown, page_plans, written_plan
from billing.reads.staff_acts import ActView
from billing.staff.accept_plan import accept_plan
from billing.staff.plan_wishes import LARGEST_ID
from billing.staff.wishes import Wish
from web.answers import Json, instant
from web.auth import Identity
from web.bodies import read_json
from web.days import end_of
from web.door import Door
from web.errors import HttpError, invalid, not_found
from web.idempotency import idempotency_key
from web.pages import asked_slice, page_answer
from web.paths import plan_path
from web.plans import plan_listed
from web.staff.acts import Shown, StaffActs, admin, staff_member
from web.staff.filters import NOTHING, NUMBER, NothingFitsError, word_asked_for
from web.staff.plan_bodies import PlanBody, PlanEditBody, PlansBody

BULK = "bulk"
ACTIVE: Mapping[str, bool] = {"true": True, "false": False}


class StaffPlanRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)

    async def all_of_them(self, request: Request) -> Response:
        return await (self.create(request) if request.method == "POST" else self.listed(request))

    async def one_of_them(self, request: Request) -> Response:
        """Raises HTTPException 405 for the address of many, which nobody reads or edits."""
        if request.path_params["plan_id"] == BULK:
            raise HTTPException(405, headers={"Allow": "POST"})
        return await (self.edit(request) if request.method == "PATCH" else self.shown(request))

    async def listed(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part = asked_slice(request)
        try:
            word = word_asked_for(request, "is_active", ACTIVE)
        except NothingFitsError:
            return page_answer(request, part, NOTHING, written_plan)
        is_active = None if word is None else ACTIVE[word]
        page = await self._door.ask(lambda connection: page_plans(connection, part, is_active=is_active))
        return page_answer(request, part, page, written_plan)

    async def shown(self, request: Request) -> Response:
        await staff_member(self._door, request)
        return Json({"success": True, **written_plan(await self._found(_number(request)))})

    async def preview(self, request: Request) -> Response:
        """As a buyer would see it at an instant, by default now."""
        await staff_member(self._door, request)
        plan_id, given = _number(request), request.query_params.get("at")
        at = end_of(given, self._door.settings.zone) if given else None
        found = await self._door.ask(lambda connection: find_shown(connection, plan_id, at))
        if found is None:
            raise not_found()
        return Json(
            {
                "success": True,
                "at": instant(found.at),
                "is_on_sale": found.is_active and found.plan is not None,
                "version": found.version,
                "plan": found.plan and plan_listed(found.plan),
            }
        )

    async def create(self, request: Request) -> Response:
        who = await admin(self._door, request)
        idempotency_key(request)
        body = PlanBody.of(await read_json(request))
        made: list[int] = []

        async def shown(act: ActView) -> Mapping[str, Any]:
            made.append((act.after or {})["plan_id"])
            return written_plan(await self._found(made[0]))

        answer = await self._ask(request, who, body.wish, body.reason, shown, 201)
        if made:
            answer.headers["Location"] = plan_path(made[0])
        return answer

    async def edit(self, request: Request) -> Response:
        who = await admin(self._door, request)
        plan_id = _number(request)
        idempotency_key(request)
        body = PlanEditBody.of(await read_json(request))

        async def shown(_: object) -> Mapping[str, Any]:
            return written_plan(await self._found(plan_id))

        return await self._ask(request, who, body.wish(plan_id), body.reason, shown)

    async def bulk(self, request: Request) -> Response:
        who = await admin(self._door, request)
        idempotency_key(request)
        body = PlansBody.of(await read_json(request))
        if not body.says_something:
            raise invalid("is_active", "is required, unless there is an is_featured or a display_order")

        async def shown(_: object) -> Mapping[str, Any]:
            found = await self._door.ask(lambda connection: find_plans(connection, body.plan_ids))
            return {"plans": [written_plan(plan) for plan in found]}

        return await self._ask(request, who, body.wish, body.reason, shown)

    async def _ask(
        self, request: Request, who: Identity, wish: Wish, reason: str, shown: Shown, status: int = 200
    ) -> Response:
        """Raises HttpError 400 with a complaint for each field that can never be so."""
        try:
            return await self._acts.ask(request, who, wish, reason, shown, accept=accept_plan, status=status)
        except PlanTermsError as error:
            raise HttpError(400, error.error_type, str(error), field_errors=error.field_errors) from None

    async def _found(self, plan_id: int) -> PlanView:
        """Raises HttpError 404."""
        found = await self._door.ask(lambda connection: find_plan(connection, plan_id))
        if found is None:
            raise not_found()
        return found


def _number(request: Request) -> int:
    """Raises HttpError 404 where it is none of a plan."""
    given = request.path_params["plan_id"]
    if not NUMBER.fullmatch(given) or not 0 < int(given) <= LARGEST_ID:
        raise not_found()
    return int(given)
