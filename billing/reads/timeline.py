"""Everything about one student in the order in which it happened: purchases, hours, lessons, money, acts, mails."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MOST = 100

# A newest part of each kind, by the index of its student; what is older than all of them comes with the next page.
TIMELINE = text("""
    WITH own AS MATERIALIZED (
        SELECT id, transaction_id FROM purchase WHERE student_id = :student_id
    ), happened AS (
        (SELECT step.at, 'purchase' AS kind, step.step AS what, step.cause AS detail, CAST(NULL AS integer) AS minutes,
            CAST(NULL AS integer) AS cents, 'purchase:' || own.transaction_id AS place
        FROM own JOIN purchase_transition AS step ON step.purchase_id = own.id
        WHERE step.at < :before ORDER BY step.at DESC LIMIT :most)
        UNION ALL
        (SELECT at, 'hours', kind, source, minutes, NULL, 'entry:' || id
        FROM hour_entry WHERE student_id = :student_id AND at < :before ORDER BY id DESC LIMIT :most)
        UNION ALL
        (SELECT requested_at, 'lesson', state, session_id, minutes, NULL, 'consumption:' || id
        FROM consumption WHERE student_id = :student_id AND requested_at < :before
        ORDER BY requested_at DESC LIMIT :most)
        UNION ALL
        (SELECT refund.created_at, 'refund', refund.state, coalesce(refund.error_message, refund.stripe_refund_id, ''),
            refund.minutes, refund.amount_cents, 'refund:' || refund.id
        FROM own JOIN refund ON refund.purchase_id = own.id
        WHERE refund.created_at < :before ORDER BY refund.created_at DESC LIMIT :most)
        UNION ALL
        (SELECT dispute.opened_at, 'dispute', dispute.state, dispute.reason, dispute.minutes_frozen,
            dispute.amount_cents, 'dispute:' || dispute.id
        FROM own JOIN dispute ON dispute.purchase_id = own.id
        WHERE dispute.opened_at < :before ORDER BY dispute.opened_at DESC LIMIT :most)
        UNION ALL
        (SELECT act.requested_at, 'staff act', act.action || ' (' || act.state || ')', act.actor || ': ' || act.reason,
            NULL, NULL, 'staff_act:' || act.id
        FROM staff_act AS act
        WHERE act.requested_at < :before AND (
            act.target = ANY (ARRAY(SELECT 'purchase:' || transaction_id FROM own) || ARRAY[:student])
            OR (act.target = 'purchases' AND EXISTS (
                SELECT FROM own
                WHERE act.parameters -> 'transaction_ids' @> to_jsonb(own.transaction_id)
            ))
        ) ORDER BY act.requested_at DESC LIMIT :most)
        UNION ALL
        (SELECT created_at, 'mail', topic || ' (' || state || ')', subject, NULL, NULL, 'notification:' || id
        FROM notification WHERE student_id = :student_id AND created_at < :before
        ORDER BY created_at DESC LIMIT :most)
        UNION ALL
        (SELECT began_at, 'subscription', 'began', stripe_subscription_id, NULL, NULL, 'subscription:' || id
        FROM subscription WHERE student_id = :student_id AND began_at < :before ORDER BY began_at DESC LIMIT :most)
        UNION ALL
        (SELECT ended_at, 'subscription', 'ended', stripe_subscription_id, NULL, NULL, 'subscription:' || id
        FROM subscription WHERE student_id = :student_id AND ended_at < :before ORDER BY ended_at DESC LIMIT :most)
        UNION ALL
        (SELECT requested_at, 'account', action || ' (' || state || ')', coalesce(error_message, ''), NULL, NULL, NULL
        FROM account_act WHERE student_id = :student_id AND requested_at < :before
        ORDER BY requested_at DESC LIMIT :most)
        UNION ALL
        (SELECT staff_case.opened_at, 'case', staff_case.reason || ' (' || staff_case.state || ')', staff_case.detail,
            NULL, NULL, 'case:' || staff_case.id
        FROM own JOIN staff_case ON staff_case.purchase_id = own.id
        WHERE staff_case.opened_at < :before ORDER BY staff_case.opened_at DESC LIMIT :most)
    )
    SELECT at, kind, what, detail, minutes, cents, place FROM happened ORDER BY at DESC, kind, place DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class MomentView:
    """`place` names the row that tells more, as `purchase:12`; hours are signed where an entry moved them."""

    at: datetime
    kind: str
    what: str
    detail: str
    minutes: int | None
    cents: int | None
    place: str | None


async def timeline_of(
    connection: AsyncConnection, student_id: int, *, before: datetime, most: int = MOST
) -> Sequence[MomentView]:
    """What happened before that instant, the newest first."""
    given = {"student_id": student_id, "student": f"student:{student_id}", "before": before, "most": most}
    rows = (await connection.execute(TIMELINE, given)).mappings()
    return [MomentView(**{**row, "at": row["at"].astimezone(UTC)}) for row in rows]
