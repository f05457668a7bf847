"""The only writer of hours: entries are added, lots and balances move with them, each once for its source."""

from billing.ledger.audit import Violation, audit, violations
from billing.ledger.balances import lock_balances
from billing.ledger.credits import Credit, credit

__all__ = ["Credit", "Violation", "audit", "credit", "lock_balances", "violations"]
