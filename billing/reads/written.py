"""Money, hours and instants as people and programs are given them: decimals with two places, UTC with `Z`."""

from datetime import UTC, datetime

Sum = tuple[int | None, str, bool]
"""Cents, currency, and whether it is real money."""


def euros(cents: int) -> str:
    sign, whole = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}{whole // 100}.{whole % 100:02d}"


def sum_told(cents: int | None, currency: str, *, livemode: bool) -> str:
    """For people who compare two of them; Stripe counts some currencies in units without a hundredth."""
    if cents is None:
        amount = "no sum"
    elif currency == "eur":
        amount = f"{euros(cents)} EUR"
    else:
        amount = f"{cents} of the smallest unit of {currency[:10]}"
    return f"{amount} {'for real' if livemode else 'in test mode'}"


def difference_told(paid: Sum, sold: Sum) -> str | None:
    """Where what was paid is not what was sold, in words; None where they agree."""
    if paid == sold:
        return None
    (cents, currency, live), (price_cents, unit, is_live) = paid, sold
    paid_told = sum_told(cents, currency, livemode=live)
    return f"paid {paid_told}, sold for {sum_told(price_cents, unit, livemode=is_live)}"


def hours(minutes: int) -> str:
    """Half up at two places: 50 minutes are 0.83."""
    sign, whole = ("-", -minutes) if minutes < 0 else ("", minutes)
    return sign + euros((whole * 100 + 30) // 60)


def price_per_hour(cents: int, minutes: int) -> str:
    return euros((cents * 120 + minutes) // (2 * minutes))


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 lot`, `2 lots`; `many` where it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
