"""When something is due next: after each moment one tick, and no tick between the two."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.messages import DropOldRows, Message, ReadEvents, StartNightlySweep
from billing.ticks import TICKS

LISBON = ZoneInfo("Europe/Lisbon")
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # in UTC


@pytest.mark.parametrize("kind", TICKS, ids=lambda kind: str(kind.task))
@given(moment=MOMENTS)
def test_the_next_tick_is_one_and_the_next_one(kind: type[Message], moment: datetime) -> None:
    """Whatever is shown as due next is a slot that a worker takes, also in the nights in which clocks change."""
    ticks = TICKS[kind]
    due = ticks.following(moment, LISBON)
    assert timedelta() < due - moment <= ticks.every + timedelta(hours=1)
    assert ticks.slot(due, LISBON) == due
    assert ticks.following(due - timedelta(microseconds=1), LISBON) == due


@pytest.mark.parametrize(
    ("kind", "moment", "due"),
    [
        (ReadEvents, "2026-03-02T12:00Z", "2026-03-02T12:01Z"),
        (DropOldRows, "2026-03-02T00:00Z", "2026-03-09T00:00Z"),
        (StartNightlySweep, "2026-03-28T12:00Z", "2026-03-29T01:30Z"),
    ],
)
def test_a_tick_is_not_its_own_next_one(kind: type[Message], moment: str, due: str) -> None:
    """A Monday's midnight is followed by the next Monday's."""
    assert TICKS[kind].following(datetime.fromisoformat(moment), LISBON) == datetime.fromisoformat(due)
