"""The part of the payment service in memory that lists what happened, in pages as small as a test wants them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeVar

import orjson

from billing.gateway import Intent, RefundThere
from billing.reconciling import EventThere, Listed
from billing.stripe_reconciling import event

T = TypeVar("T", EventThere, Intent, RefundThere)


class ReconcilingFake:
    """`listings` counts the pages that were asked for; `list_troubles` are raised one by one, None is no trouble."""

    intents: dict[str, Intent]
    refunds: dict[str, RefundThere]

    def __init__(self) -> None:
        self.events: list[EventThere] = []
        self.page_size = 100
        self.listings = 0
        self.list_troubles: list[BaseException | None] = []

    def happen(self, body: Mapping[str, Any]) -> str:
        """An event as Stripe would send it, which nobody delivers; its id."""
        made = event(orjson.loads(orjson.dumps(body)))
        self.events.append(made)
        return made.id

    def list_events(
        self, since: datetime, until: datetime, *, types: Sequence[str], after: str | None = None
    ) -> Listed[EventThere]:
        return self._listed([one for one in self.events if one.type in types], since, until, after)

    def list_intents(self, since: datetime, until: datetime, *, after: str | None = None) -> Listed[Intent]:
        return self._listed(list(self.intents.values()), since, until, after)

    def list_refunds_made(self, since: datetime, until: datetime, *, after: str | None = None) -> Listed[RefundThere]:
        return self._listed(list(self.refunds.values()), since, until, after)

    def _listed(self, made: list[T], since: datetime, until: datetime, after: str | None) -> Listed[T]:
        self.listings += 1
        trouble = self.list_troubles.pop(0) if self.list_troubles else None
        if trouble is not None:
            raise trouble
        first, last = int(since.timestamp()), int(until.timestamp())
        newest_first = sorted(made, key=attrgetter("created_at"), reverse=True)
        there = [one for one in newest_first if first <= int(one.created_at.timestamp()) <= last]
        start = 0 if after is None else [one.id for one in there].index(after) + 1
        return Listed(there[start : start + self.page_size], len(there) > start + self.page_size)
