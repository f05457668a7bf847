"""Open rows: the queue of record. Accept, claim, finish, put off, give up, and what is overdue."""

from billing.work.claims import (
    HINTED_BY_ITS_MAKER,
    Claim,
    break_up,
    claim,
    claim_batch,
    claim_tried,
    claim_unless_worn_out,
    close,
    database_now,
    give_up,
    hand_back,
    is_worn_out,
    put_off,
    put_off_or_give_up,
    renew,
    rest,
    resume,
    wake,
)
from billing.work.kinds import EVENT_BATCH, HOURS_BATCH, OPEN_KINDS, RECEIPT_BATCH
from billing.work.leases import Leases, LeaseTerms
from billing.work.overdue import take_overdue

__all__ = [
    "EVENT_BATCH",
    "HINTED_BY_ITS_MAKER",
    "HOURS_BATCH",
    "OPEN_KINDS",
    "RECEIPT_BATCH",
    "Claim",
    "LeaseTerms",
    "Leases",
    "break_up",
    "claim",
    "claim_batch",
    "claim_tried",
    "claim_unless_worn_out",
    "close",
    "database_now",
    "give_up",
    "hand_back",
    "is_worn_out",
    "put_off",
    "put_off_or_give_up",
    "renew",
    "rest",
    "resume",
    "take_overdue",
    "wake",
]
