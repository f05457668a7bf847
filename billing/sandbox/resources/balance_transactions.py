"""What moved in or out of the account's balance, so that the ids that refunds and disputes name lead somewhere.

Page: "Balance transactions" of Stripe's API reference.
"""

from typing import Literal

from billing.sandbox.account import Account
from billing.sandbox.chance import new_id
from billing.sandbox.objects import Body, Stored

Kind = Literal["refund", "refund_failure", "dispute", "dispute_reversal"]
_TYPES = {"dispute": "adjustment", "dispute_reversal": "adjustment"}


def add(account: Account, kind: Kind, amount: int, source: Body, fee: int = 0) -> Body:
    """`amount` is negative where money leaves; of `source` the id and the currency count."""
    entry = Stored(_shape(kind, amount, source, fee, account.clock.now()))
    account.objects.add(entry, entry.body["created"])
    return entry.body


def _shape(kind: Kind, amount: int, source: Body, fee: int, created: int) -> Body:
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": source["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [_fee(fee, source["currency"])] if fee else [],
        "net": amount - fee,
        "reporting_category": kind,
        "source": source["id"],
        "status": "available",
        "type": _TYPES.get(kind, kind),
    }


def _fee(fee: int, currency: str) -> Body:
    return {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Dispute fee",
        "type": "stripe_fee",
    }
