"""What beat starts by the calendar, done for a clock that is moved by hand: in the order of a night and a morning."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import text

from billing import work
from billing.cli.desk import desk_of
from billing.config import Settings
from billing.consumptions.lapse import lapse_holds
from billing.db import Begin
from billing.expiry.sweep import Went, go_on, start_sweep
from billing.notifications.warn import warn_of_expiry
from billing.purchases.abandon import close_abandoned
from billing.reconciliation.events import read_events
from billing.states import SweepTrigger
from billing.work.kinds import OPEN_KINDS

Daily = Callable[[datetime], None]
Making = Callable[[Begin, Settings], Daily]
"""Made once for a command, and called at the end of each of its steps."""


def _lapse(begin: Begin, _settings: Settings) -> Daily:
    def lapse(now: datetime) -> None:
        lapse_holds(begin, now=now)

    return lapse


def _sweep(begin: Begin, settings: Settings) -> Daily:
    """As the hourly net does: nights on which nothing is due leave no row."""
    terms = work.LeaseTerms(settings.work_lease_seconds, settings.work_lost_claims)

    def sweep(now: datetime) -> None:
        for message in start_sweep(begin, SweepTrigger.LATE, grace_hours=settings.expiry_grace_hours, now=now):
            while go_on(begin, terms, message.run_id, now=now) is Went.ON:
                continue

    return sweep


def _warn(begin: Begin, _settings: Settings) -> Daily:
    def warn(now: datetime) -> None:
        warn_of_expiry(begin, now=now)

    return warn


def _read_events(begin: Begin, settings: Settings) -> Daily:
    """As each minute does: what Stripe lists is not to grow older than it keeps it."""
    desk = desk_of(settings, begin)

    def read(now: datetime) -> None:
        read_events(replace(desk, now=now))

    return read


def _abandon(begin: Begin, _settings: Settings) -> Daily:
    """The sweeper brings workers to them; `hint_at_once` lets it begin now."""

    def abandon(now: datetime) -> None:
        close_abandoned(begin, now=now)

    return abandon


PASSING: tuple[Making, ...] = (_lapse, _sweep, _warn, _abandon, _read_events)

# Not those that somebody has been asked for already, and not those whose time has not come.
HINT_NOW = """
    UPDATE {table} SET hint_at = clock_timestamp()
    WHERE due_at <= clock_timestamp() AND hint_at > clock_timestamp() AND lease_token IS NULL AND hints = 0
"""


def hint_at_once(begin: Begin) -> None:
    """A command sends no hints: what its acts leave to workers would wait two seconds for the sweeper."""
    with begin() as session:
        for kind in OPEN_KINDS:
            session.execute(text(HINT_NOW.format(table=kind.model.kind)))
