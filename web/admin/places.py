"""Where the row of a name is: `purchase:12`, `webhook_event:42`, as acts and dead letters call them."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette_admin import CustomView, route

from billing.lists.search import number_of
from web.admin.lists.fields import page_of
from web.door import Door

PAGES: Mapping[str, str] = {
    "webhook_event": "event",
    "staff_act": "act",
    "notification": "mail",
    "sweep_run": "sweep",
    "payment_watch": "purchase",
    **{
        kind: kind
        for kind in (
            "purchase",
            "student",
            "refund",
            "receipt",
            "dispute",
            "subscription",
            "finding",
            "case",
            "entry",
            "consumption",
            "plan",
        )
    },
}
"""The list in which rows of a kind are; of the others their dead letter is all there is to see."""

TASK = text("SELECT id FROM purchase WHERE transaction_id = :number")


class Places(CustomView):
    menu_label = "Places"
    path = "/go"
    route_name = "places"
    add_to_menu = False

    def __init__(self, door: Door) -> None:
        super().__init__()
        self._door = door

    @route("")
    async def index(self, request: Request) -> Response:
        return RedirectResponse("/admin/", 303)

    @route("/{kind}/{subject}", methods=["GET"])
    async def go(self, request: Request) -> Response:
        kind, subject = request.path_params["kind"], request.path_params["subject"]
        if kind == "purchase" and (number := number_of(subject)) is not None:
            subject = await self._task_of(number)
        if kind not in PAGES:
            return RedirectResponse(page_of("letter", f"{kind},{subject}"), 303)
        return RedirectResponse(page_of(PAGES[kind], subject), 303)

    async def _task_of(self, number: int) -> str:
        """Raises HTTPException 404 where there is no such purchase."""

        async def query(connection: AsyncConnection) -> object:
            return (await connection.execute(TASK, {"number": number})).scalar_one_or_none()

        found = await self._door.ask(query)
        if found is None:
            raise HTTPException(404, f"There is no transaction {number}.")
        return str(found)
