"""Money and hours are decimal strings with two places, instants UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from web.answers import euros, hours, instant, price_per_hour


@pytest.mark.parametrize(
    ("cents", "written"), [(0, "0.00"), (5, "0.05"), (14_000, "140.00"), (-1, "-0.01"), (-14_005, "-140.05")]
)
def test_cents_are_written_as_euros(cents: int, written: str) -> None:
    assert euros(cents) == written


@pytest.mark.parametrize(
    ("minutes", "written"),
    [(0, "0.00"), (600, "10.00"), (90, "1.50"), (50, "0.83"), (1, "0.02"), (-90, "-1.50"), (3, "0.05")],
)
def test_minutes_are_written_as_hours_half_up(minutes: int, written: str) -> None:
    assert hours(minutes) == written


def test_the_price_of_an_hour_is_rounded_half_up() -> None:
    assert price_per_hour(14_000, 600) == "14.00"
    assert price_per_hour(19_900, 1_800) == "6.63"
    assert price_per_hour(1, 120) == "0.01"


def test_an_instant_is_utc_whatever_zone_it_comes_in() -> None:
    at = datetime(2026, 6, 1, 1, 30, tzinfo=timezone(timedelta(hours=1)))
    assert instant(at) == "2026-06-01T00:30:00.000Z" == instant(at.astimezone(UTC))
