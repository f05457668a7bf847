"""The page of an act: what it is about, its form, and, once it is asked for, what became of it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette_admin import route

from billing import clock
from billing.clock import utc_now
from billing.errors import RefusedError
from billing.ids import new_id
from billing.lists.search import uuid_of
from billing.plans.terms import PlanTermsError
from billing.reads.staff_acts import find_act
from billing.reads.written import euros, hours
from billing.states import ActState
from web.admin.acts.acceptance import accept, find_earlier
from web.admin.acts.closings import CloseOneCase, CloseOneFinding
from web.admin.acts.form import Act, Complaints, Input, Subject, Table, changes_between
from web.admin.acts.letters import BeDoneWith, PutAside, WorkAnew
from web.admin.acts.plans import ChangePlan, MakePlan, ShowPlans
from web.admin.acts.purchases import GiveBack, Lengthen
from web.admin.acts.students import GrantHours, TakeHoursBack
from web.admin.lists.fields import place_of
from web.admin.page import OwnPage
from web.admin.sessions import officer_of
from web.door import Door
from web.errors import HttpError

ACTS: Sequence[type[Act]] = (
    GiveBack,
    Lengthen,
    GrantHours,
    TakeHoursBack,
    WorkAnew,
    PutAside,
    BeDoneWith,
    CloseOneFinding,
    CloseOneCase,
    MakePlan,
    ChangePlan,
    ShowPlans,
)
STALE = "This page was made for how things stood then. Nothing was done; look at what has changed."
NOT_ADMIN = "Only the role admin may ask for this."


class ActPages(OwnPage):
    menu_label = "Acts"
    path = "/acts"
    route_name = "acts"
    add_to_menu = False

    def __init__(self, door: Door) -> None:
        super().__init__()
        self._door = door
        self._acts: Mapping[str, Act] = {kind.name: kind(door) for kind in ACTS}

    @route("")
    async def index(self, request: Request) -> Response:
        return RedirectResponse("/admin/act/list", 303)

    @route("/done/{act_id}", methods=["GET"])
    async def shown(self, request: Request) -> Response:
        """How it stands; the page asks again by itself as long as nobody has decided."""
        act_id = uuid_of(request.path_params["act_id"])
        act = None if act_id is None else await self._door.ask(lambda connection: find_act(connection, act_id))
        if act is None:
            raise HTTPException(404, "There is no such act.")
        context = {
            "title": f"{act.action} of {act.target}",
            "act": act,
            "is_open": act.state is ActState.REQUESTED,
            "place": place_of(act.target),
            "before": _written(act.before),
            "after": _written(act.after),
        }
        return self.page(request, "admin/act.html", context)

    @route("/{name}", methods=["GET", "POST"])
    async def form(self, request: Request) -> Response:
        act = self._allowed(request)
        if act.needs_recent_sign_in and not officer_of(request).is_recent(clock.machine_now()):
            here = f"{request.url.path}?{request.url.query}"
            return RedirectResponse(f"/admin/login?again=1&next={quote(here, safe='')}", 303)
        subject = await act.find(request.query_params.get("of", "").split(","), utc_now())
        if subject is None:
            raise HTTPException(404, "There is nothing of that name.")
        if request.method == "GET":
            return self._form(request, act, subject, {one.name: one.given for one in act.inputs(subject)})
        return await self._asked(request, act, subject)

    async def _asked(self, request: Request, act: Act, subject: Subject) -> Response:
        form = await request.form()
        given = {one.name: str(form.get(one.name) or "") for one in act.inputs(subject)}
        changes = changes_between(_carried(form), subject.facts)
        key = str(form.get("key") or new_id().hex)
        try:
            wish, reason = act.wish(subject, _understood(act.inputs(subject), given))
            if "preview" in form and act.can_preview:
                return self._form(request, act, subject, given, seen=act.preview(subject, wish))
            earlier = await find_earlier(self._door, request, key)
            if changes and earlier is None:
                return self._form(request, act, subject, given, Complaints(STALE, changes=changes))
            accepted = await accept(self._door, request, wish, reason, key, act.accept_by.accept)
        except HttpError as error:
            fields = error.problem.field_errors or {}
            above = STALE if changes else None if fields else str(error)
            return self._form(request, act, subject, given, Complaints(above, fields, changes))
        except PlanTermsError as error:
            return self._form(request, act, subject, given, Complaints(None, error.field_errors))
        except RefusedError as error:
            return self._form(request, act, subject, given, Complaints(str(error)))
        return RedirectResponse(f"/admin/acts/done/{accepted.id}", 303)

    def _allowed(self, request: Request) -> Act:
        """Raises HTTPException 404 for no act of ours, 403 for one of others' roles."""
        act = self._acts.get(request.path_params["name"])
        if act is None:
            raise HTTPException(404, "There is no such act.")
        if act.is_for_admins and not officer_of(request).is_admin:
            raise HTTPException(403, NOT_ADMIN)
        return act

    def _form(
        self,
        request: Request,
        act: Act,
        subject: Subject,
        given: Mapping[str, str],
        complaints: Complaints | None = None,
        seen: Sequence[Table] = (),
    ) -> Response:
        """A page that complains carries the facts of now: who sends it again has seen them."""
        context = {
            "title": act.title,
            "act": act,
            "subject": subject,
            "inputs": act.inputs(subject),
            "given": given,
            "seen": seen,
            "complaints": complaints or Complaints(),
            "facts": orjson.dumps(dict(subject.facts)).decode(),
            "key": new_id().hex,
        }
        return self.page(request, "admin/form.html", context, _status(complaints))


def _status(complaints: Complaints | None) -> int:
    if complaints is None:
        return HTTPStatus.OK
    return HTTPStatus.CONFLICT if complaints.changes else HTTPStatus.UNPROCESSABLE_ENTITY


def _carried(form: FormData) -> Mapping[str, str]:
    """What the form was made for; one that carries nothing was made for nothing that is here."""
    try:
        found = orjson.loads(str(form.get("facts") or "{}"))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _understood(inputs: Sequence[Input], given: Mapping[str, str]) -> dict[str, Any]:
    """As the API would be given it: numbers as numbers, an empty field as none."""
    found: dict[str, Any] = {}
    for one in inputs:
        value = given[one.name].strip()
        if one.kind == "checkbox":
            found[one.name] = value == "on"
        elif one.kind == "number":
            found[one.name] = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else value
        elif value:
            found[one.name] = value
    return found


def _written(facts: Mapping[str, Any] | None) -> Sequence[tuple[str, str]]:
    return [_in_words(name, value) for name, value in (facts or {}).items()]


def _in_words(name: str, value: Any) -> tuple[str, str]:
    """Money in euros, time in hours; what is made of several parts stays as it was written."""
    label = name.replace("_", " ").capitalize()
    if isinstance(value, bool):
        return label, "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_cents"):
        return f"{label.removesuffix(' cents')} (€)", euros(value)
    if isinstance(value, int) and name.startswith("minutes"):
        return label.replace("Minutes", "Hours"), hours(value)
    if value is None or isinstance(value, str | int):
        return label, "none" if value is None else str(value)
    return label, orjson.dumps(value).decode()
