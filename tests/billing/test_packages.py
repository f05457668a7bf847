"""When hours of a package end, wherever the business counts its days."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing.packages import end_of_day, expires_at

LISBON = "Europe/Lisbon"

TABLE = [
    ("an ordinary month", LISBON, "2026-01-05T12:00Z", 30, "2026-02-05T00:00Z"),
    ("paid in the first instant of a day", LISBON, "2026-01-05T00:00Z", 30, "2026-02-05T00:00Z"),
    ("paid in the last instant of a day", LISBON, "2026-01-05T23:59:59.999999Z", 30, "2026-02-05T00:00Z"),
    ("over the spring change", LISBON, "2026-03-02T12:00Z", 45, "2026-04-16T23:00Z"),
    ("on the day of the spring change", LISBON, "2026-03-28T12:00Z", 0, "2026-03-29T00:00Z"),
    ("the day after the spring change", LISBON, "2026-03-28T12:00Z", 1, "2026-03-29T23:00Z"),
    ("over the autumn change", LISBON, "2026-10-01T12:00Z", 30, "2026-11-01T00:00Z"),
    ("on the day of the autumn change", LISBON, "2026-10-24T12:00Z", 0, "2026-10-24T23:00Z"),
    ("the day after the autumn change", LISBON, "2026-10-24T12:00Z", 1, "2026-10-26T00:00Z"),
    ("in summer the local day is ahead of UTC", LISBON, "2026-07-01T23:30Z", 30, "2026-08-01T23:00Z"),
    ("over the end of a year", LISBON, "2026-12-15T12:00Z", 30, "2027-01-15T00:00Z"),
    ("the last day of a year", LISBON, "2026-12-31T23:59Z", 0, "2027-01-01T00:00Z"),
    ("over a leap day", LISBON, "2028-02-28T12:00Z", 1, "2028-03-01T00:00Z"),
    ("a midnight that does not exist", "America/Sao_Paulo", "2018-11-01T12:00Z", 2, "2018-11-04T03:00Z"),
    ("the day after it", "America/Sao_Paulo", "2018-11-01T12:00Z", 3, "2018-11-05T02:00Z"),
    ("a midnight that does not exist in Egypt", "Africa/Cairo", "2026-04-20T12:00Z", 3, "2026-04-23T22:00Z"),
    ("a midnight that comes twice begins at the first", "America/Havana", "2026-10-30T16:00Z", 1, "2026-11-01T04:00Z"),
    ("the day after it ", "America/Havana", "2026-10-30T16:00Z", 2, "2026-11-02T05:00Z"),
    ("a last hour that comes twice", "Asia/Beirut", "2026-10-22T12:00Z", 2, "2026-10-24T22:00Z"),
    ("a whole day that did not exist", "Pacific/Apia", "2011-12-28T12:00Z", 2, "2011-12-30T10:00Z"),
    ("half an hour of change", "Australia/Lord_Howe", "2026-04-03T12:00Z", 1, "2026-04-04T13:00Z"),
    ("far ahead of UTC", "Pacific/Kiritimati", "2026-01-01T09:59Z", 0, "2026-01-01T10:00Z"),
    ("and a minute later", "Pacific/Kiritimati", "2026-01-01T10:00Z", 0, "2026-01-02T10:00Z"),
]


@pytest.mark.parametrize(("zone", "paid", "days", "expected"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_hours_end_with_the_local_day_after_the_last_whole_one(zone: str, paid: str, days: int, expected: str) -> None:
    """A buyer who is promised 45 days has all of the 45th, whatever clocks do meanwhile."""
    result = expires_at(datetime.fromisoformat(paid), days, ZoneInfo(zone))
    assert result == datetime.fromisoformat(expected)
    assert result.tzinfo is UTC


ZONES = st.sampled_from(sorted(available_timezones() - {"localtime"}))
INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=400, deadline=None)
@given(ZONES, INSTANTS, st.integers(0, 400))
@example("America/Sao_Paulo", datetime(2018, 11, 1, 12, tzinfo=UTC), 2)
@example("America/Havana", datetime(2026, 10, 30, 16, tzinfo=UTC), 1)
@example("America/St_Johns", datetime(2010, 11, 5, 16, tzinfo=UTC), 1)
def test_the_end_is_the_first_instant_that_is_too_late(zone_name: str, paid_at: datetime, days: int) -> None:
    """An instant before it is still a day that was paid for; at it that day is over."""
    zone = ZoneInfo(zone_name)
    end = expires_at(paid_at, days, zone)
    first_day_too_late = paid_at.astimezone(zone).date() + timedelta(days=days + 1)
    assert _day(end, zone) >= first_day_too_late
    assert _day(end - timedelta(microseconds=1), zone) < first_day_too_late
    assert paid_at < end


@settings(max_examples=100, deadline=None)
@given(ZONES, INSTANTS, st.integers(0, 400))
def test_the_zone_of_the_payment_s_clock_does_not_matter(zone_name: str, paid_at: datetime, days: int) -> None:
    """Stripe, workers and databases may each speak another zone of the same instant."""
    elsewhere = paid_at.astimezone(ZoneInfo("Asia/Kathmandu"))
    assert expires_at(elsewhere, days, ZoneInfo(zone_name)) == expires_at(paid_at, days, ZoneInfo(zone_name))


@settings(max_examples=200, deadline=None)
@given(ZONES, INSTANTS)
@example("Europe/Lisbon", datetime(2026, 7, 1, 23, tzinfo=UTC))
@example("Africa/Cairo", datetime(2026, 4, 23, 22, tzinfo=UTC))
def test_a_day_ends_when_the_next_one_begins(zone_name: str, instant: datetime) -> None:
    """Time that is given back ends no lesson at noon; where a day begins at this instant, nothing is added."""
    zone = ZoneInfo(zone_name)
    end, moment = end_of_day(instant, zone), timedelta(microseconds=1)
    assert end >= instant
    assert _day(end, zone) > _day(end - moment, zone) >= _day(instant - moment, zone)
    assert end_of_day(end, zone) == end


def _day(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date()
