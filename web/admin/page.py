"""A page of ours within the frame of all others."""

from collections.abc import Mapping
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates
from starlette_admin import CustomView
from starlette_admin.flash import get_flashed_messages


class OwnPage(CustomView):
    def page(self, request: Request, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        templates = cast("Jinja2Templates", self.templates)  # they are there once the admin knows the page
        found = {"flashed_messages": get_flashed_messages(request), **context}
        return templates.TemplateResponse(request, template, found, status)
