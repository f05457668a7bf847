"""What a receipt says of money and days."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.config import Settings
from billing.receipts import numbers
from billing.receipts.facts import Issuer, Seller, contained_vat

RATES = st.decimals(min_value=0, max_value=99, places=2)


@pytest.mark.parametrize(
    ("cents", "rate", "vat"),
    [(14_000, "23", 2_618), (12_300, "23", 2_300), (10_600, "6", 600), (100, "6.5", 6), (1, "23", 0), (101, "0", 0)],
)
def test_the_contained_tax_is_part_of_the_price(cents: int, rate: str, vat: int) -> None:
    """140.00 at 23 % contain 26.18: the price is 123 % of what is taxed."""
    assert contained_vat(cents, Decimal(rate)) == vat


def test_half_a_cent_of_tax_is_rounded_up() -> None:
    """3 cents at 20 % contain exactly half a cent."""
    assert contained_vat(3, Decimal(20)) == 1


@given(st.integers(1, 10_000_000), RATES)
def test_whole_numbers_give_what_decimals_give(cents: int, rate: Decimal) -> None:
    exact = Decimal(cents) * rate / (100 + rate)
    assert contained_vat(cents, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_a_number_is_written_with_its_year() -> None:
    """Six digits sort as text; a year with more receipts than that goes on counting."""
    assert [numbers.written(2026, serial) for serial in (1, 123, 1_234_567)] == [
        "R-2026-000001",
        "R-2026-000123",
        "R-2026-1234567",
    ]


def issuer_in(zone: str) -> Issuer:
    return Issuer(Seller(name="Tutors", address="", vat_number=""), None, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "year", "day"), [("Asia/Tokyo", 2027, "2027-01-01"), ("America/New_York", 2026, "2026-12-31")]
)
def test_days_and_years_are_those_of_the_business(zone: str, year: int, day: str) -> None:
    at = datetime(2026, 12, 31, 20, tzinfo=UTC)
    assert (issuer_in(zone).year_of(at), issuer_in(zone).day_of(at).isoformat()) == (year, day)


def test_the_settings_say_who_sells(settings: Settings) -> None:
    changes = {"seller_name": "Explicações", "seller_vat_number": "PT1", "vat_rate_percent": Decimal(23)}
    issuer = Issuer.of(settings.model_copy(update=changes))
    assert (issuer.seller.name, issuer.seller.vat_number) == ("Explicações", "PT1")
    assert issuer.vat_rate_percent == Decimal(23)
