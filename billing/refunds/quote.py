"""What a purchase is still worth: the value of its unused hours, pro rata by minutes, and never more than was paid."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """`window_days` after payment nothing is given back any more; None: always. The fee is kept of what is."""

    window_days: int | None = None
    fee_percent: int = 0

    def is_over(self, paid_at: datetime, now: datetime) -> bool:
        return self.window_days is not None and now >= paid_at + timedelta(days=self.window_days)

    def fee_of(self, value_cents: int) -> int:
        return value_cents * self.fee_percent // 100


@dataclass(frozen=True, slots=True)
class Standing:
    """A purchase as it stands: cents that went back or are about to, with `minutes_gone`, and what nobody used."""

    price_cents: int
    gone_cents: int
    minutes_granted: int
    minutes_gone: int
    minutes_unused: int

    def worth(self, minutes: int) -> int:
        return self.price_cents * minutes // self.minutes_granted


@dataclass(frozen=True, slots=True)
class Quote:
    standing: Standing
    fee_cents: int
    """Of what is unused."""
    open_cents: int
    """What may go back of all that was not used, less what went already: small parts, rounded down in minutes, could
    take more between them."""

    @property
    def refundable_cents(self) -> int:
        one = self.standing
        return max(0, min(one.worth(one.minutes_unused) - self.fee_cents, self.open_cents))

    @property
    def formula(self) -> str:
        """In words, for whoever has to explain it."""
        one = self.standing
        return (
            f"min({one.price_cents} x {one.minutes_unused} / {one.minutes_granted} - {self.fee_cents} fee, "
            f"{self.open_cents} not given back) = {self.refundable_cents} cents"
        )

    def minutes_of(self, amount_cents: int) -> int:
        """What a refund of this amount takes, rounded down; the last cent takes the rest."""
        unused = self.standing.minutes_unused
        if amount_cents >= self.refundable_cents:
            return unused
        return unused * amount_cents // self.refundable_cents


def quote(standing: Standing, policy: Policy) -> Quote:
    unused = standing.worth(standing.minutes_unused)
    returnable = standing.worth(standing.minutes_unused + standing.minutes_gone)
    return Quote(standing, policy.fee_of(unused), returnable - policy.fee_of(returnable) - standing.gone_cents)
