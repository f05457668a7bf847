"""Pages of rows: which one is asked for, and what it says of those beside it."""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from billing.reads.pages import Filter, Page, Slice
from billing.states import PlanType, PurchaseState
from web.answers import Json
from web.errors import not_found

T = TypeVar("T")

SIZE, LARGEST_SIZE = 20, 100
WHOLE = re.compile(r"(-?)([0-9]+)", re.ASCII)
MOST_DIGITS = 18

YES, NO = ("true", "1"), ("false", "0")


def asked_slice(request: Request) -> Slice:
    """Raises HttpError 404 for a page that is no number or before the first."""
    query = request.query_params
    page, size = _whole(query.get("page", "1")), _whole(query.get("page_size", ""))
    if page is None or page < 1:
        raise not_found()
    return Slice(page, SIZE if size is None else min(max(size, 1), LARGEST_SIZE))


def asked_filter(request: Request) -> Filter:
    """A value that nobody knows fits nothing; an empty one is none."""
    return Filter(
        states=_known(request, "payment_status", PurchaseState),
        plan_types=_known(request, "transaction_type", PlanType),
    )


def asked_flag(request: Request, name: str) -> bool | None:
    """None where it is neither yes nor no."""
    given = request.query_params.get(name, "").lower()
    return given in YES if not given or given in (*YES, *NO) else None


def page_body(request: Request, part: Slice, page: Page[T], row: Callable[[T], Mapping[str, Any]]) -> dict[str, Any]:
    """Raises HttpError 404 past the end; the first page is always there."""
    pages = max(1, -(-page.count // part.size))
    if part.page > pages:
        raise not_found()
    return {
        "count": page.count,
        "next": _path(request, part.page + 1) if part.page < pages else None,
        "previous": _path(request, part.page - 1) if part.page > 1 else None,
        "results": [row(one) for one in page.rows],
    }


def page_answer(request: Request, part: Slice, page: Page[T], row: Callable[[T], Mapping[str, Any]]) -> Response:
    return Json(page_body(request, part, page, row))


def _whole(given: str) -> int | None:
    """An integer; of one beyond all bounds only that it is."""
    found = WHOLE.fullmatch(given)
    if found is None:
        return None
    digits = found[2].lstrip("0") or "0"
    return int(found[1] + (digits if len(digits) <= MOST_DIGITS else "9" * MOST_DIGITS))


def _known(request: Request, name: str, kind: type[StrEnum]) -> Sequence[str] | None:
    given = request.query_params.get(name)
    return [value for value in kind if value == given] if given else None


def _path(request: Request, page: int) -> str:
    """Where the caller asked, with what he asked for."""
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "page"]
    return f"{request.url.path}?{urlencode([*others, ('page', page)])}"
