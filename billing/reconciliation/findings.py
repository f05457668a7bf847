"""A difference between Stripe and us, and the one row that it is until somebody closes it with a note."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlmodel import Session

from billing.ids import new_id
from billing.states import FindingKind

log = structlog.get_logger(__name__)

K = FindingKind
OWNERS: Mapping[FindingKind, str] = {
    K.UNKNOWN_PAYMENT: "support",
    K.UNPAID_HERE: "operations",
    K.UNPAID_THERE: "finance",
    K.AMOUNT: "finance",
    K.REFUND_MISSING: "finance",
    K.REFUND_AMOUNT: "finance",
    K.EVENTS_TOO_OLD: "operations",
}
"""Who looks at it first."""

# Found again after it was closed, it is open anew; what was noted then is kept in its words.
KEEP = text("""
    INSERT INTO finding AS known (id, kind, source, purchase_id, detail, ours_cents, theirs_cents, owner, state,
        opened_at, seen_at)
    SELECT asked.*, 'open', :at, :at
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:sources AS text[]), CAST(:purchases AS uuid[]),
        CAST(:details AS text[]), CAST(:ours AS int[]), CAST(:theirs AS int[]), CAST(:owners AS text[])
    ) AS asked (id, kind, source, purchase_id, detail, ours_cents, theirs_cents, owner)
    ON CONFLICT (kind, source) DO UPDATE
    SET seen_at = greatest(known.seen_at, excluded.seen_at), purchase_id = excluded.purchase_id,
        ours_cents = excluded.ours_cents, theirs_cents = excluded.theirs_cents,
        opened_at = CASE known.state WHEN 'closed' THEN excluded.opened_at ELSE known.opened_at END,
        detail = CASE known.state WHEN 'open' THEN known.detail ELSE left(
            excluded.detail || '; closed before (' || to_char(known.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ', '
            || known.closed_by || '): ' || known.note, 1000) END,
        state = 'open', closed_at = NULL, closed_by = NULL, note = NULL
""")


@dataclass(frozen=True, slots=True)
class Difference:
    """`source` is the object, at Stripe or of ours, that differs; the same kind and source is the same finding.

    What has no amount on one side, because it is not there, has None.
    """

    kind: FindingKind
    source: str
    detail: str
    purchase_id: UUID | None = None
    ours_cents: int | None = None
    theirs_cents: int | None = None


def keep(session: Session, differences: Sequence[Difference], *, at: datetime) -> None:
    """Open a finding for each, or note that it was seen again.

    They are written in the order of their keys, so that two runs never wait for each other in a circle.
    """
    once = sorted({(one.kind, one.source): one for one in differences}.values(), key=lambda one: (one.kind, one.source))
    if not once:
        return
    session.execute(
        KEEP,
        {
            "ids": [new_id() for _ in once],
            "kinds": [one.kind.value for one in once],
            "sources": [one.source for one in once],
            "purchases": [one.purchase_id for one in once],
            "details": [one.detail[:1000] for one in once],
            "ours": [one.ours_cents for one in once],
            "theirs": [one.theirs_cents for one in once],
            "owners": [OWNERS[one.kind] for one in once],
            "at": at,
        },
    )
    for one in once:
        log.warning("reconciliation_found", kind=one.kind, source=one.source, purchase_id=str(one.purchase_id))
