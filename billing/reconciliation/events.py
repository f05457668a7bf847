"""Stripe's events since the cursor: those that never reached us are recorded as if they had.

The time is read in slices from its oldest side, and the cursor follows slice by slice: killed at any moment, a reading
is gone on with where it stood. Ids decide what is new, so reading a time twice, or by three at once, records nothing
twice.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from billing.db import repeated
from billing.errors import RefusedError
from billing.gateway import CLOCKS_DIFFER
from billing.messages import EventsWaiting, FollowUp
from billing.purchases.desk import Desk
from billing.purchases.news import Context
from billing.reconciliation import cursor, findings, recording, unknown
from billing.reconciliation.findings import Difference
from billing.reconciliation.runs import Report, noted
from billing.reconciliation.slices import Slices
from billing.reconciling import EventThere
from billing.states import FindingKind, ReconciliationScope
from billing.webhooks.handlers import HANDLERS

log = structlog.get_logger(__name__)

OVERLAP = timedelta(minutes=10)
"""An event may be listed after one that is younger than it."""
NEARLY_TOO_OLD = timedelta(days=25)
BUDGET_SECONDS = 20.0
"""No page is asked for after this: the next tick goes on."""
TYPES = tuple(sorted(HANDLERS))


class TooLongAgoError(RefusedError):
    """Stripe keeps no events of so long ago."""


@dataclass(frozen=True, slots=True)
class Wish:
    """From when on; None: from where the last reading ended."""

    since: datetime | None = None
    is_dry: bool = False
    seconds: float = math.inf


def read_events(desk: Desk) -> Sequence[FollowUp]:
    """What beat asks for each minute."""
    _, follow_ups = read(desk, Wish(seconds=BUDGET_SECONDS))
    return follow_ups


def read(desk: Desk, wish: Wish) -> tuple[Report, Sequence[FollowUp]]:
    """Raises TooLongAgoError, or the GatewayError that ended it; what was read until then is kept."""
    if wish.since is not None and desk.now - wish.since > cursor.KEPT_THERE:
        days = cursor.KEPT_THERE.days
        raise TooLongAgoError(f"Stripe keeps events for {days} days: ask for a later time")
    with desk.begin() as session:
        place = cursor.place(session)
        start = place or cursor.beginning(session, now=desk.now)
    since = wish.since or min(start, desk.now) - OVERLAP
    reading = _Reading(desk, Report(since, max(since, desk.now)), time.monotonic() + wish.seconds)
    if wish.is_dry:
        reading.read()
        return reading.report, ()
    with desk.begin() as session:
        cursor.begin_at(session, start)
    with noted(desk.begin, ReconciliationScope.EVENTS, reading.report, now=desk.now):
        reading.complain_of_age(place)
        reading.read()
    return reading.report, reading.follow_ups


class _Reading:
    def __init__(self, desk: Desk, report: Report, deadline: float) -> None:
        self.report = report
        self.follow_ups: list[FollowUp] = []
        self._desk = desk
        self._deadline = deadline
        self._context = Context(desk.deployment, desk.now)
        self._newest = report.since
        self._listed: set[str] = set()

    def read(self) -> None:
        """To the end, or until there is no time left."""
        slices = Slices(self.report.since, self._desk.now + CLOCKS_DIFFER)
        while (part := slices.part) is not None:
            pages = self._read_slice(*part, slices.most_pages)
            if self._is_late:
                self.report.until = min(part[0], self._desk.now)
                log.warning("reconciliation_goes_on_later", until=self.report.until.isoformat())
                return
            if pages is None:
                slices.was_too_long()
            else:
                slices.was_read(pages)

    @property
    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _read_slice(self, since: datetime, until: datetime, most_pages: int | None) -> int | None:
        """The pages it had; None where it has more than that. The cursor moves only where all of it was read."""
        pages, newest, after = 0, self._newest, None
        while not self._is_late:
            page = self._desk.gateway.list_events(since, until, types=TYPES, after=after)
            self._take(page.rows)
            newest = max([newest, *(one.created_at for one in page.rows)])
            pages += 1
            if not page.has_more or not page.rows:
                self._newest = newest
                self._advance(until)
                return pages
            if pages == most_pages:
                return None
            after = page.rows[-1].id
        return None

    def _advance(self, until: datetime) -> None:
        """To the newest event, by Stripe's clock; by ours only as far as Stripe's may be behind it."""
        if self.report.is_dry:
            return
        with self._desk.begin() as session:
            cursor.advance(session, self.report.since, max(self._newest, min(until, self._desk.now - CLOCKS_DIFFER)))

    def _take(self, rows: Sequence[EventThere]) -> None:
        events = [one for one in rows if one.type in HANDLERS and one.id not in self._listed]
        self.report.seen += len(events)
        if not events:
            return
        with self._desk.begin() as session:
            seen = recording.look(session, events, self._context)
        if self.report.is_dry:
            self._listed.update(one.id for one in events)
            self.report.recorded += len(seen.new)
        elif seen.new:
            self._record(seen)
        self._settle_unknown(seen)

    def _record(self, seen: recording.Look) -> None:
        desk, context, request_id = self._desk, self._context, f"reconciliation:{self.report.run_id}"
        asked = recording.ask_about(desk.gateway, seen.payable)
        recorded, told = repeated(
            desk.begin, lambda session: recording.record(session, seen, asked, context, request_id=request_id)
        )
        self.report.recorded += recorded
        self.follow_ups += [one for one in (*told, EventsWaiting()) if one not in self.follow_ups]

    def _settle_unknown(self, seen: recording.Look) -> None:
        for intent in recording.ask_about(self._desk.gateway, seen.unknown).values():
            if intent.status != "succeeded":
                continue
            settled = unknown.settle(self._desk, intent, is_dry=self.report.is_dry)
            self.report.adopted += settled.is_adopted
            self.follow_ups += settled.follow_ups
            if settled.difference is not None:
                self._find(settled.difference)

    def complain_of_age(self, place: datetime | None) -> None:
        """While the cursor can still catch up, and after that too: what was lost then has to be compared."""
        if place is None or self._desk.now - place < NEARLY_TOO_OLD:
            return
        age = self._desk.now - place
        log.warning("reconciliation_cursor_old", days=age.days)
        kept = f"events were read up to {place.isoformat()}, {age.days} days ago; Stripe keeps them for 30 days"
        self._find(Difference(FindingKind.EVENTS_TOO_OLD, cursor.EVENTS, kept))

    def _find(self, difference: Difference) -> None:
        if self.report.add(difference) and not self.report.is_dry:
            with self._desk.begin() as session:
                findings.keep(session, [difference], at=self._desk.now)
