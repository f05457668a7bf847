"""Events, payment intents and refunds of a time: asked of Stripe, answered in our words."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel

from billing import stripe_answers as answers
from billing.gateway import Intent, RefundThere
from billing.reconciling import EventThere, Listed
from billing.stripe_line import StripeLine

T = TypeVar("T")

PAGE = 100
MOST_TYPES = 20
"""Stripe narrows a list of events to so many types at most (Stripe, "List all events")."""


class _Event(BaseModel):
    """Stripe, "The Event object"."""

    object: Literal["event"]
    id: str
    type: str
    created: datetime


class _List(BaseModel):
    object: Literal["list"]
    data: list[Any]
    has_more: bool


class StripeReconciling:
    """The part of the gateway that lists what happened."""

    _line: StripeLine

    def list_events(
        self, since: datetime, until: datetime, *, types: Sequence[str], after: str | None = None
    ) -> Listed[EventThere]:
        narrowed = {"types": list(types)} if len(types) <= MOST_TYPES else {}
        return self._listed(event, self._line.v1.events.list, since, until, after, **narrowed)

    def list_intents(self, since: datetime, until: datetime, *, after: str | None = None) -> Listed[Intent]:
        call, expand = self._line.v1.payment_intents.list, ["data.latest_charge"]
        return self._listed(answers.intent, call, since, until, after, expand=expand)

    def list_refunds_made(self, since: datetime, until: datetime, *, after: str | None = None) -> Listed[RefundThere]:
        return self._listed(answers.refund, self._line.v1.refunds.list, since, until, after)

    def _listed(
        self,
        read: Callable[[Any], T],
        call: Callable[..., object],
        since: datetime,
        until: datetime,
        after: str | None,
        **more: object,
    ) -> Listed[T]:
        window = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        place = {} if after is None else {"starting_after": after}
        return self._line.asked(
            lambda answer: _page(read, answer), call, {"created": window, "limit": PAGE} | more | place
        )


def event(answer: Any) -> EventThere:
    found = _Event.model_validate(answer)
    # The library reads decimals of some objects as numbers of its own; in JSON they were strings.
    return EventThere(found.id, found.type, found.created, orjson.dumps(answer, default=str))


def _page(read: Callable[[Any], T], answer: object) -> Listed[T]:
    found = _List.model_validate(answer)
    return Listed([read(row) for row in found.data], found.has_more)
