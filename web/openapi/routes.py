"""`openapi.json` and the page that shows it. Both are made when they are first asked for."""

import asyncio
import re
from functools import cached_property

import orjson
from starlette.requests import Request
from starlette.responses import Response

from web.answers import Json, with_etag
from web.door import Door
from web.openapi.document import build
from web.openapi.page import DocsPage

GZIP = re.compile(r"(?<![^\s,])gzip\s*(?!\s*;\s*q=0(\.0*)?\s*(,|$))")
"""Unless it is refused: `gzip;q=0`."""

KEPT = {"Cache-Control": "public, no-cache"}
"""Browsers may keep it, but ask each time."""


class DocumentRoutes:
    def __init__(self, door: Door) -> None:
        self._callers = door.callers
        self._page: DocsPage | None = None

    @cached_property
    def _document(self) -> bytes:
        return orjson.dumps(build())

    async def document(self, request: Request) -> Response:
        await self._callers.optional(request)
        return with_etag(request, Json(self._document, headers=KEPT))

    async def page(self, request: Request) -> Response:
        await self._callers.optional(request)
        if self._page is None:
            self._page = await asyncio.to_thread(DocsPage.load)
        return with_etag(request, await _sent(self._page, is_packed=takes_gzip(request)))


async def _sent(page: DocsPage, *, is_packed: bool) -> Response:
    headers = {**KEPT, "Content-Security-Policy": page.policy, "Vary": "Accept-Encoding"}
    if is_packed:
        return Response(page.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type="text/html")
    return Response(await asyncio.to_thread(lambda: page.unpacked), headers=headers, media_type="text/html")


def takes_gzip(request: Request) -> bool:
    return GZIP.search(request.headers.get("accept-encoding", "").lower()) is not None
