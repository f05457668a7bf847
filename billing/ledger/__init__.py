"""The only writer of hours: entries are added, lots and balances move with them, each once for its source."""

from billing.ledger.accounts import Account, Lot, lock_accounts
from billing.ledger.audit import Proof, Range, Violation, audit, prove, violations
from billing.ledger.balances import lock_balances
from billing.ledger.credits import Credit, credit
from billing.ledger.extensions import Extension, extend
from billing.ledger.money import return_money
from billing.ledger.postings import Move, Posting, post
from billing.ledger.transfers import transfer_all

__all__ = [
    "Account",
    "Credit",
    "Extension",
    "Lot",
    "Move",
    "Posting",
    "Proof",
    "Range",
    "Violation",
    "audit",
    "credit",
    "extend",
    "lock_accounts",
    "lock_balances",
    "post",
    "prove",
    "return_money",
    "transfer_all",
    "violations",
]
