"""How a column is shown, exported and narrowed: money in euros, time in hours, instants in business time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette_admin.fields import BaseField, BooleanField, DateTimeField, EnumField, IntegerField, StringField
from starlette_admin.types import RequestAction

from billing.lists.cells import written_json, written_words
from billing.reads.written import euros, hours, instant
from billing.redaction import redacted
from web.admin.lists.filters import (
    CENTS,
    FLAGS,
    INSTANTS,
    MINUTES,
    NUMBERS,
    PURCHASES,
    STUDENTS,
    TEXTS,
    UUIDS,
    WHOLE,
    WORDS,
)

LINK = "admin/link.html"
LISTED = "admin/text.html"
JSON = "admin/json.html"


def is_export(request: Request) -> bool:
    action: RequestAction = request.state.action
    return action is RequestAction.EXPORT


def local(at: datetime, request: Request) -> str:
    """In the business's zone, to the second, with the zone's name."""
    return at.astimezone(request.scope["zone"]).strftime("%Y-%m-%d %H:%M:%S %Z")


@dataclass
class Text(StringField):
    list_template: str = LISTED

    def __post_init__(self) -> None:
        self.filters = [*TEXTS] if self.filters is None else self.filters
        super().__post_init__()


@dataclass
class Name(Text):
    """Of so many rows that only the whole of it is looked for."""

    def __post_init__(self) -> None:
        self.filters = [*WHOLE]
        super().__post_init__()


@dataclass
class Words(Text):
    """Several of few words."""

    def __post_init__(self) -> None:
        self.filters = []
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return written_words(value)


@dataclass
class Number(IntegerField):
    def __post_init__(self) -> None:
        self.filters = [*NUMBERS] if self.filters is None else self.filters
        super().__post_init__()


@dataclass
class Id(StringField):
    """A name that only programs read."""

    list_template: str = LISTED

    def __post_init__(self) -> None:
        self.filters = [*UUIDS]
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return str(value)


@dataclass
class Euros(IntegerField):
    """Of cents."""

    def __post_init__(self) -> None:
        self.filters = [*CENTS]
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return euros(value)


@dataclass
class Hours(IntegerField):
    """Of minutes."""

    def __post_init__(self) -> None:
        self.filters = [*MINUTES]
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return hours(value)


@dataclass
class At(DateTimeField):
    def __post_init__(self) -> None:
        self.filters = [*INSTANTS]
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return instant(value) if is_export(request) else local(value, request)


@dataclass
class Flag(BooleanField):
    list_template: str = LISTED
    detail_template: str = "fields/detail/text.html"

    def __post_init__(self) -> None:
        self.filters = [*FLAGS]
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return "yes" if value else "no"


@dataclass
class Word(EnumField):
    """One of few words."""

    list_template: str = LISTED

    def __post_init__(self) -> None:
        self.filters = [*WORDS]
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return str(value) if is_export(request) else str(value).replace("_", " ")


def word(name: str, kind: type[StrEnum], label: str | None = None, **more: Any) -> Word:
    return Word(name, label=label, choices=[(one.value, one.value.replace("_", " ")) for one in kind], **more)


@dataclass
class Facts(BaseField):
    """What an act, a mail or a receipt was made with."""

    exclude_from_list: bool | None = True
    detail_template: str = JSON

    def __post_init__(self) -> None:
        self.filters = []
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return written_json(value)


@dataclass
class StripeBody(Facts):
    """What Stripe sent; secrets, addresses and numbers of cards are masked."""

    exclude_from_export: bool | None = True

    async def serialize_value(self, request: Request, value: Any) -> Any:
        try:
            return json.dumps(redacted(json.loads(value)), indent=2, ensure_ascii=False)
        except ValueError:
            return f"{len(value)} bytes that are no JSON"


@dataclass
class Link(BaseField):
    """The row that this one belongs to, by what people call it."""

    to: str = ""
    list_template: str = LINK
    detail_template: str = LINK

    def __post_init__(self) -> None:
        self.filters = [*BY_TARGET.get(self.to, UUIDS)]
        super().__post_init__()

    async def serialize_value(self, request: Request, value: Any) -> Any:
        text = request.scope.get("admin_names", {}).get((self.to, value), str(value))
        return text if is_export(request) else {"text": text, "url": page_of(self.to, value)}


BY_TARGET: Mapping[str, Any] = {
    "student": STUDENTS,
    "purchase": PURCHASES,
    **dict.fromkeys(("sweep", "plan", "version"), NUMBERS),
}


@dataclass
class Target(Text):
    """What an act is about: `purchase:12`, `student:5`."""

    list_template: str = LINK
    detail_template: str = LINK

    async def serialize_value(self, request: Request, value: Any) -> Any:
        return value if is_export(request) else {"text": value, "url": place_of(value)}


@dataclass
class Letter(Target):
    """The name of a dead letter, which is of two columns."""


def page_of(key: str, pk: int | str | UUID) -> str:
    return f"/admin/{key}/detail?pk={quote(str(pk), safe='')}"


def place_of(target: str) -> str | None:
    """Where the row of that name is found; None where it names several."""
    kind, colon, subject = target.partition(":")
    return f"/admin/go/{quote(kind, safe='')}/{quote(subject, safe='')}" if colon else None
