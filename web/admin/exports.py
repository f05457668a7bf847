"""Exports that a worker makes: asked for on a list's page, followed here, announced everywhere, and fetched."""

import gzip
import re
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from uuid import UUID

from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette_admin import route
from starlette_admin.flash import flash

from billing.clock import utc_now
from billing.errors import RefusedError
from billing.exports.accept import AcceptedExport, ExportRequest, accept_export
from billing.exports.reads import (
    ExportView,
    News,
    Standing,
    find_export,
    list_exports,
    news_of,
    note_downloaded,
    read_part,
)
from billing.ids import new_id
from billing.lists.search import uuid_of
from billing.lists.selection import Selection
from billing.messages import WriteExport
from web.admin.lists.fields import local
from web.admin.page import OwnPage
from web.admin.sessions import officer_of
from web.door import Door

PAGE = "/admin/exports"
ERASED = "This export was kept for a day, and is erased: ask for it anew on the page of its list."
UNREADY = "This export is not ready."


class ExportPages(OwnPage):
    menu_label = "Exports"
    icon = "fa fa-file-export"
    path = "/exports"
    route_name = "exports"

    def __init__(self, door: Door) -> None:
        super().__init__()
        self._door = door

    async def ask(self, request: Request, selection: Selection) -> Response:
        """From the page of a list to this one, with a word of what became of the wish."""
        asked = ExportRequest(
            id=new_id(),
            sub=officer_of(request).sub,
            selection=selection,
            request_id=request.scope["request_id"],
            requested_at=utc_now(),
        )
        try:
            accepted = await self._accept(asked)
        except RefusedError as error:
            flash(request, f"Nothing was asked for: {error}.", "error")
        else:
            what = "was asked for already" if accepted.is_replay else "is written by a worker"
            flash(
                request, f"Your export of {selection.title} {what}: every page tells you when it is ready.", "success"
            )
        return RedirectResponse(PAGE, 303)

    async def _accept(self, asked: ExportRequest) -> AcceptedExport:
        accepted = await self._door.change(lambda connection: accept_export(connection, asked))
        self._door.hints.send(WriteExport(export_id=accepted.id))
        return accepted

    @route("")
    async def index(self, request: Request) -> Response:
        return await self._shown(request, "admin/exports.html")

    @route("/table", methods=["GET"])
    async def table(self, request: Request) -> Response:
        """What the page shows anew while something is being written."""
        return await self._shown(request, "admin/_exports.html")

    @route("/news", methods=["GET"])
    async def news(self, request: Request) -> Response:
        sub, now = officer_of(request).sub, utc_now()

        async def query(connection: AsyncConnection) -> News:
            return await news_of(connection, sub, now=now)

        found = await self._door.ask(query)
        ready = [{"title": title, "url": f"{PAGE}/{export_id}/file"} for export_id, title in found.ready]
        return JSONResponse({"ready": ready, "unfinished": found.unfinished}, headers={"Cache-Control": "no-store"})

    @route("/{export_id}/file", methods=["GET"])
    async def file(self, request: Request) -> Response:
        export = await self._find(request)
        if export.standing is Standing.ERASED:
            raise HTTPException(HTTPStatus.GONE, ERASED)
        if export.standing is not Standing.READY:
            raise HTTPException(HTTPStatus.CONFLICT, UNREADY)
        headers = {"Content-Disposition": f'attachment; filename="{self._file_name(export)}"'}
        lines = self._lines(export.id, officer_of(request).sub)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)

    async def _shown(self, request: Request, template: str) -> Response:
        officer, now = officer_of(request), utc_now()
        sub = None if officer.is_admin else officer.sub

        async def query(connection: AsyncConnection) -> Sequence[ExportView]:
            return await list_exports(connection, sub, now=now)

        exports = await self._door.ask(query)
        context = {
            "title": "Exports",
            "exports": exports,
            "is_open": any(one.standing is Standing.WRITING for one in exports),
            "is_of_everybody": officer.is_admin,
            "local": lambda at: local(at, request),
        }
        return self.page(request, template, context)

    async def _find(self, request: Request) -> ExportView:
        """Raises HTTPException 404 where there is no such export, and where it is somebody else's."""
        export_id, officer, now = uuid_of(request.path_params["export_id"]), officer_of(request), utc_now()

        async def query(connection: AsyncConnection) -> ExportView | None:
            return None if export_id is None else await find_export(connection, export_id, now=now)

        found = await self._door.ask(query)
        if found is None or not (officer.is_admin or found.sub == officer.sub):
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such export.")
        return found

    def _file_name(self, export: ExportView) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", export.title.lower()).strip("-")
        day = (export.ready_at or export.requested_at).astimezone(self._door.settings.zone).date()
        return f"{words or export.list_name}-{day.isoformat()}.csv"

    async def _lines(self, export_id: UUID, sub: str) -> AsyncIterator[bytes]:
        """Part after part, so that no more than one is in memory; once all were sent, there is nothing to tell any
        more."""
        number = 1
        while (body := await self._part(export_id, number)) is not None:
            yield await to_thread.run_sync(gzip.decompress, body)
            number += 1
        now = utc_now()
        await self._door.change(lambda connection: note_downloaded(connection, export_id, sub, now=now))

    async def _part(self, export_id: UUID, number: int) -> bytes | None:
        return await self._door.ask(lambda connection: read_part(connection, export_id, number))
