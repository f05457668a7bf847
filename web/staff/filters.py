"""What staff's lists can be narrowed to: an empty value is none, and one that nobody knows fits nothing."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from starlette.requests import Request

from billing.reads.pages import Page
from web.errors import invalid
from web.staff.bodies import LARGEST_ID

T = TypeVar("T", bound=str)

NUMBER = re.compile(r"[0-9]{1,40}", re.ASCII)
NOTHING: Page[Any] = Page(None, 0, ())


class NothingFitsError(Exception):
    """No row can be what was asked for."""


def transaction_number(given: str) -> int:
    """0, which no purchase has, for one beyond their range. Raises HttpError 400 where it is no number."""
    if not NUMBER.fullmatch(given):
        raise invalid("transaction_id", "must be the number of a transaction")
    return int(given) if int(given) <= LARGEST_ID else 0


def number_asked_for(request: Request, name: str) -> int | None:
    """Raises NothingFitsError."""
    given = request.query_params.get(name)
    if not given:
        return None
    if not NUMBER.fullmatch(given) or not 0 < int(given) <= LARGEST_ID:
        raise NothingFitsError
    return int(given)


def word_asked_for(request: Request, name: str, known: Iterable[T]) -> T | None:
    """Raises NothingFitsError."""
    given = request.query_params.get(name)
    if not given:
        return None
    for word in known:
        if word == given:
            return word
    raise NothingFitsError


def text_asked_for(request: Request, name: str) -> str | None:
    """Raises NothingFitsError for a character that no text of the database has."""
    given = request.query_params.get(name)
    if given and "\0" in given:
        raise NothingFitsError
    return given or None
