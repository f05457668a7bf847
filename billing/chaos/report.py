"""What a campaign found, as one object for programs and as one table for people."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from billing.chaos.witness import Seen

SETTLED_WITHIN_SECONDS, SETTLED_WITHIN_SECONDS_AFTER_DROPS = 10.0, 90.0
"""From the end of the last fault, or of the load where that came later; events that got lost are found by a
reconciliation that runs each minute."""


@dataclass(frozen=True, slots=True)
class Money:
    """What is kept after what went back, in cents."""

    stripe_cents: int
    ledger_cents: int


@dataclass(frozen=True, slots=True)
class Report:
    """Lists name ids: of intents in `lost`, of purchases in `doubled`, `duplicates` and `unpaid`."""

    seed: int
    seconds: float
    drop_share: float
    promised: dict[str, int]
    missing: Sequence[str]
    paid: int
    credited: int
    lost: Sequence[str]
    doubled: Sequence[str]
    duplicates: Sequence[str]
    unpaid: Sequence[str]
    violations: Sequence[Seen]
    looks: int
    audit_holds: bool
    money: Money
    served_seconds: float
    """From the end of the last fault until the last buyer had what he came for."""
    settled_seconds: float | None
    """From then on, too; None where it was not settled at all, and `unfinished` says what was left."""
    unfinished: str | None
    faults: dict[str, int]
    deaths: dict[str, int]
    dropped: int
    dead_letters: dict[str, int]
    answers: dict[int, int]
    ends: dict[str, int]
    odd: Sequence[str]

    @property
    def conservation(self) -> bool:
        """At every look, by the proof at the end, and between Stripe and the ledger."""
        is_even = self.money.stripe_cents == self.money.ledger_cents
        return is_even and self.audit_holds and not self.violations and not self.unpaid

    @property
    def limit_seconds(self) -> float:
        return SETTLED_WITHIN_SECONDS_AFTER_DROPS if self.drop_share else SETTLED_WITHIN_SECONDS

    @property
    def is_in_time(self) -> bool:
        return self.settled_seconds is not None and self.settled_seconds - self.served_seconds <= self.limit_seconds

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.duplicates or self.missing) and self.conservation

    def as_json(self) -> dict[str, Any]:
        verdicts = {
            "lost_credits": len(self.lost),
            "double_credits": len(self.doubled),
            "duplicate_intents": len(self.duplicates),
            "conservation": self.conservation,
            "settle_limit_seconds": self.limit_seconds,
            "is_in_time": self.is_in_time,
            "passed": self.passed,
        }
        return {**verdicts, **asdict(self)}

    def rows(self) -> list[tuple[str, ...]]:
        settled = "not settled" if self.settled_seconds is None else f"{self.settled_seconds:.1f} s"
        return [
            ("seed", str(self.seed)),
            ("promised", _listed(self.promised)),
            ("promised and missing", _named(self.missing)),
            ("paid at Stripe", str(self.paid)),
            ("credited", str(self.credited)),
            ("lost credits", _named(self.lost)),
            ("double credits", _named(self.doubled)),
            ("duplicate intents", _named(self.duplicates)),
            ("credited and not paid", _named(self.unpaid)),
            ("conservation", "true" if self.conservation else "false"),
            ("  violations", f"{len(self.violations)} in {self.looks} looks"),
            *(("", f"after {seen.at} s: {seen.rule}: {seen.subject}") for seen in self.violations),
            ("  audit", "holds" if self.audit_holds else "does not hold"),
            ("  money", f"{self.money.stripe_cents} cents at Stripe, {self.money.ledger_cents} in the ledger"),
            ("after the last fault", ""),
            ("  last buyer served", f"{self.served_seconds:.1f} s"),
            ("  settled", f"{settled} (limit: {self.limit_seconds:.0f} s more) {self.unfinished or ''}".rstrip()),
            ("faults", _listed(self.faults)),
            ("deaths", _listed(self.deaths)),
            ("events dropped", str(self.dropped)),
            ("dead letters", _listed(self.dead_letters)),
            ("answers of the door", _listed(self.answers)),
            ("buyers", _listed(self.ends)),
            ("odd answers", _named(self.odd)),
            ("verdict", "passed" if self.passed else "FAILED"),
        ]


def _listed(counted: dict[Any, int]) -> str:
    return (
        ", ".join(f"{number} {name}" for name, number in sorted(counted.items(), key=lambda item: str(item[0]))) or "0"
    )


def _named(found: Sequence[str]) -> str:
    return f"{len(found)}: {', '.join(found[:5])}" if found else "0"
