"""The only writer of hours: entries are added, lots and balances move with them, each once for its source."""

from billing.ledger.audit import Violation, audit, violations
from billing.ledger.balances import lock_balances
from billing.ledger.credits import Credit, credit
from billing.ledger.transfers import transfer_all

__all__ = ["Credit", "Violation", "audit", "credit", "lock_balances", "transfer_all", "violations"]
