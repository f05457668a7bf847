"""The only writer of hours: entries are added, lots and balances move with them, each once for its source."""

from billing.ledger.accounts import Account, Lot, lock_accounts
from billing.ledger.audit import Violation, audit, violations
from billing.ledger.balances import lock_balances
from billing.ledger.credits import Credit, credit
from billing.ledger.postings import Move, Posting, post
from billing.ledger.transfers import transfer_all

__all__ = [
    "Account",
    "Credit",
    "Lot",
    "Move",
    "Posting",
    "Violation",
    "audit",
    "credit",
    "lock_accounts",
    "lock_balances",
    "post",
    "transfer_all",
    "violations",
]
