"""What a purchase is still worth, and how many minutes an amount takes: never more between them than was paid."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.refunds.quote import Policy, Standing, quote

PAID = datetime(2026, 3, 2, 12, tzinfo=UTC)
WHOLE = Standing(14_000, 0, 600, 0, 600)


@pytest.mark.parametrize(
    ("standing", "fee_percent", "refundable", "amount", "minutes"),
    [
        pytest.param(WHOLE, 0, 14_000, 14_000, 600, id="nothing used: all of it"),
        pytest.param(WHOLE, 0, 14_000, 7_000, 300, id="half of it"),
        pytest.param(WHOLE, 0, 14_000, 13_999, 599, id="all but a cent leaves a minute"),
        pytest.param(WHOLE, 0, 14_000, 1, 0, id="a cent takes no minute"),
        pytest.param(WHOLE, 10, 12_600, 12_600, 600, id="less a fee: all minutes"),
        pytest.param(WHOLE, 10, 12_600, 6_300, 300, id="less a fee: half of them"),
        pytest.param(WHOLE, 100, 0, 0, 600, id="a fee of everything"),
        pytest.param(Standing(14_000, 0, 600, 0, 450), 0, 10_500, 10_500, 450, id="a quarter was used"),
        pytest.param(Standing(14_000, 0, 600, 0, 0), 0, 0, 0, 0, id="all was used"),
        pytest.param(Standing(14_000, 7_000, 600, 300, 300), 0, 7_000, 7_000, 300, id="half went back before"),
        pytest.param(Standing(14_000, 13_984, 600, 0, 600), 0, 16, 16, 600, id="the last cents take the rest"),
        pytest.param(Standing(14_000, 6_992, 600, 0, 300), 0, 8, 8, 300, id="no more than the unused half"),
        pytest.param(Standing(14_000, 14_000, 600, 300, 100), 0, 0, 0, 100, id="all money is back, hours came again"),
        pytest.param(Standing(7_500, 0, 300, 0, 1), 0, 25, 24, 0, id="one minute, rounded down"),
        pytest.param(Standing(100, 0, 300, 0, 299), 0, 99, 98, 295, id="cents fewer than minutes"),
    ],
)
def test_a_quote(standing: Standing, fee_percent: int, refundable: int, amount: int, minutes: int) -> None:
    offered = quote(standing, Policy(fee_percent=fee_percent))
    assert offered.refundable_cents == refundable
    assert offered.minutes_of(amount) == minutes
    assert f"= {refundable} cents" in offered.formula


def test_a_quote_explains_itself() -> None:
    """Staff have to tell a parent why it is so much."""
    offered = quote(Standing(14_000, 0, 600, 0, 450), Policy(fee_percent=10))
    assert offered.formula == "min(14000 x 450 / 600 - 1050 fee, 9450 not given back) = 9450 cents"


@given(
    price=st.integers(1, 50_000),
    granted=st.integers(1, 3_000),
    used_share=st.integers(0, 100),
    fee_percent=st.integers(0, 100),
    shares=st.lists(st.integers(0, 100), max_size=12),
)
def test_parts_never_give_back_more_than_the_unused_hours_are_worth(
    price: int, granted: int, used_share: int, fee_percent: int, shares: list[int]
) -> None:
    """However a refund is cut into pieces: minutes are rounded down, money must not be rounded up for it."""
    policy, used = Policy(fee_percent=fee_percent), granted * used_share // 100
    worth = price * (granted - used) // granted
    gone_cents = gone_minutes = 0
    for share in [*shares, 100]:
        standing = Standing(price, gone_cents, granted, gone_minutes, granted - used - gone_minutes)
        offered = quote(standing, policy)
        amount = offered.refundable_cents * share // 100
        if amount:
            minutes = offered.minutes_of(amount)
            assert 0 <= minutes <= standing.minutes_unused
            gone_cents, gone_minutes = gone_cents + amount, gone_minutes + minutes
        assert gone_cents <= worth - policy.fee_of(worth) <= price
    if gone_cents == price:
        assert gone_minutes == granted


def test_the_window_ends_to_the_instant() -> None:
    policy = Policy(window_days=14)
    assert not policy.is_over(PAID, PAID + timedelta(days=14, microseconds=-1))
    assert policy.is_over(PAID, PAID + timedelta(days=14))
    assert not Policy().is_over(PAID, PAID + timedelta(days=9_999))
