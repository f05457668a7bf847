"""A nightly tick: once in each local day, also in the two nights in which clocks change."""

import itertools
import pickle
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from celery.beat import ScheduleEntry

from billing.messages import StartNightlySweep
from billing.ticks import DAY, instant, nearest, next_after
from workers.nights import MADE_UP_WITHIN, Daily
from workers.schedule import BY_KIND

AT = time(2, 30)
LISBON = ZoneInfo("Europe/Lisbon")
ZONES = [
    "Europe/Lisbon",  # skips 01:00 to 02:00
    "Europe/Berlin",  # skips and repeats 02:30 itself
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of change, at 02:00
    "Africa/Casablanca",
    "America/Havana",
    "Asia/Kathmandu",  # a quarter past the hour of UTC
    "Pacific/Kiritimati",
]


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def ticks(zone: ZoneInfo, since: datetime, until: datetime) -> list[datetime]:
    """As Celery's beat goes on: it asks when it was told to, a little early, and ticks where it is due."""
    clock = Clock(since)
    schedule = Daily(AT, zone, clock)
    last, found = since, []
    while clock.now < until:
        due = schedule.is_due(last)
        if due.is_due:
            found.append(clock.now)
            last = clock.now
        clock.now += timedelta(seconds=min(max(due.next - 0.01, 0.001), 300))
    return found


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("around", [datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 10, 11)])
def test_each_local_day_has_one_tick(name: str, around: datetime) -> None:
    """A night without a sweep and a night with two are what clock changes make of careless schedules."""
    zone = ZoneInfo(name)
    found = ticks(zone, around, around + 31 * DAY)
    days = [tick.astimezone(zone).date() for tick in found]
    assert len(days) == len(set(days)) >= 30
    assert {(later - earlier).days for earlier, later in itertools.pairwise(days)} == {1}


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Lisbon", "2026-03-28", "2026-03-28T02:30Z"),
        ("Europe/Lisbon", "2026-03-29", "2026-03-29T01:30Z"),
        ("Europe/Lisbon", "2026-10-24", "2026-10-24T01:30Z"),
        ("Europe/Lisbon", "2026-10-25", "2026-10-25T02:30Z"),
        ("Europe/Berlin", "2026-03-29", "2026-03-29T01:30Z"),  # 02:30 does not exist: 03:30 of summer time
        ("Europe/Berlin", "2026-10-25", "2026-10-25T00:30Z"),  # the first of the two
    ],
)
def test_half_past_two_of_a_day(zone: str, day: str, expected: str) -> None:
    """Worked out by hand from the rules of the zones."""
    found = instant(datetime.fromisoformat(day).date(), AT, ZoneInfo(zone))
    assert found == datetime.fromisoformat(expected)


def test_every_zone_has_a_next_night() -> None:
    """Whatever zone a business is in, on the day too that Samoa left out."""
    for name in available_timezones() - {"localtime"}:
        for moment in (datetime(2026, 7, 1, tzinfo=UTC), datetime(2011, 12, 29, 12, tzinfo=UTC)):
            found = next_after(moment, AT, ZoneInfo(name))
            assert timedelta() < found - moment <= 2 * DAY


@pytest.mark.parametrize("late", [timedelta(seconds=-5), timedelta(), timedelta(hours=9)])
@pytest.mark.parametrize("night", ["2026-03-29T01:30Z", "2026-03-30T01:30Z", "2026-10-25T02:30Z"])
def test_a_late_tick_takes_the_slot_of_its_own_night(night: str, late: timedelta) -> None:
    """A message that lay in a broker for hours is still last night's, and tonight's has a slot of its own."""
    tick = datetime.fromisoformat(night)
    entry = BY_KIND[StartNightlySweep]
    assert late <= entry.stale_after
    assert entry.ticks.slot(tick + late, LISBON) == nearest(tick + late, AT, LISBON) == tick


def is_due(last_run_at: datetime, now: datetime) -> bool:
    return bool(Daily(AT, LISBON, Clock(now)).is_due(last_run_at).is_due)


def test_a_night_that_was_just_missed_is_made_up_for() -> None:
    """The scheduler was restarted at half past two; at noon the hourly sweep has done it long ago."""
    last, night = datetime(2026, 3, 1, 2, 30, tzinfo=UTC), datetime(2026, 3, 2, 2, 30, tzinfo=UTC)
    assert is_due(last, night + timedelta(hours=1))
    assert not is_due(last, night - timedelta(seconds=1))
    assert not is_due(last, night + MADE_UP_WITHIN + timedelta(seconds=1))
    assert not is_due(night, night + timedelta(hours=1))


def test_beat_can_keep_the_schedule_in_its_file_and_knows_it_again() -> None:
    """A schedule that is another one after each start would be read as a change of the table each time."""
    entry = ScheduleEntry(name="night", task="night", schedule=Daily(AT, LISBON), last_run_at=datetime.now(UTC))
    kept = pickle.loads(pickle.dumps(entry))  # noqa: S301  # our own bytes
    assert kept == entry
    assert hash(kept.schedule) == hash(entry.schedule)
    assert kept.schedule != Daily(time(3, 30), LISBON)
    assert kept.schedule != Daily(AT, ZoneInfo("Europe/Berlin"))
