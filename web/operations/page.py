"""The page of operations: a frame that anybody may have, and that asks for the figures with its reader's token, or
with the session of whoever has signed in to the admin.

It is no part of the API and not in its document: it asks like any other front end.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from web.answers import with_etag
from web.errors import not_found

FOLDER = Path(__file__).with_name("assets")
FRAME = "page.html"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
KEPT = {"Cache-Control": "public, no-cache"}
"""Browsers may keep it, but ask each time."""


class Asset(NamedTuple):
    body: bytes
    media_type: str


class OperationsPage:
    @cached_property
    def _files(self) -> Mapping[str, Asset]:
        """By name, read when the first of them is asked for; what is not listed cannot be."""
        paths = sorted(FOLDER.iterdir())
        return {path.name: Asset(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in paths}

    async def page(self, request: Request) -> Response:
        """Sent whole each time: a 304 would carry another policy than the page that it stands for."""
        frame = self._files[FRAME]
        return Response(frame.body, headers={**KEPT, "Content-Security-Policy": POLICY}, media_type=frame.media_type)

    async def asset(self, request: Request) -> Response:
        """Raises HttpError 404 for what is no part of the page."""
        name = request.path_params["file"]
        asset = self._files.get(name)
        if asset is None or name == FRAME:
            raise not_found()
        return with_etag(request, Response(asset.body, headers=KEPT, media_type=asset.media_type))
