"""What a table cannot say: entries that are only added, what is on sale, what gave up, which rules are broken."""

from uuid import uuid4

from alembic import op
from sqlalchemy import text

revision: str = "0002"
down_revision: str | None = "0001"

APPEND_ONLY = """
CREATE FUNCTION refuse_change_of_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: write a reversing entry', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hour_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_ledger();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hour_allocation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_ledger();
"""

PLAN_FACTS = """
CREATE VIEW plan_facts AS
SELECT plan.id AS plan_id, version.id AS version_id, version.name, version.description, version.plan_type,
    version.minutes, version.price_cents, version.currency, version.validity_days,
    plan.display_order, plan.is_featured
FROM pricing_plan AS plan JOIN pricing_plan_version AS version ON version.plan_id = plan.id;
"""

PLAN_ON_SALE = """
CREATE VIEW plan_on_sale AS
SELECT facts.*
FROM pricing_plan AS plan
CROSS JOIN LATERAL (
    SELECT id FROM pricing_plan_version AS version
    WHERE version.plan_id = plan.id AND version.effective_from <= clock_timestamp()
    ORDER BY version.effective_from DESC, version.version DESC LIMIT 1
) AS effective
JOIN plan_facts AS facts ON facts.version_id = effective.id
WHERE plan.is_active;
"""

DEAD_LETTER = """
CREATE VIEW dead_letter AS
SELECT 'purchase' AS kind, id::text AS subject, last_error AS reason, attempts, gave_up_at AS at
    FROM purchase WHERE gave_up_at IS NOT NULL
UNION ALL
SELECT 'webhook_event', id::text, last_error, attempts, gave_up_at FROM webhook_event WHERE gave_up_at IS NOT NULL
UNION ALL
SELECT 'message', id::text, reason, times, last_at FROM unreadable_message;
"""

# Every row of this view is a broken invariant; it is empty at every commit, not only when all is quiet.
VIOLATION = """
CREATE VIEW violation AS
SELECT 'balance is not the sum of its entries' AS rule, balance.student_id::text AS subject
    FROM student_balance AS balance
    LEFT JOIN (SELECT student_id, sum(minutes) AS minutes FROM hour_entry GROUP BY student_id) AS entries
        USING (student_id)
    WHERE balance.minutes_left <> coalesce(entries.minutes, 0)
UNION ALL
SELECT 'balance is not the sum of its lots', coalesce(balance.student_id, lots.student_id)::text
    FROM student_balance AS balance
    FULL JOIN (
        SELECT student_id, sum(minutes_granted) AS granted, sum(minutes_left) AS remaining,
            sum(minutes_consumed) AS consumed, sum(minutes_expired) AS expired, sum(minutes_refunded) AS refunded,
            sum(minutes_frozen) AS frozen, sum(minutes_held) AS held
        FROM hour_lot GROUP BY student_id
    ) AS lots USING (student_id)
    WHERE (balance.minutes_granted, balance.minutes_left, balance.minutes_consumed, balance.minutes_expired,
           balance.minutes_refunded, balance.minutes_frozen, balance.minutes_held)
        IS DISTINCT FROM (coalesce(lots.granted, 0), coalesce(lots.remaining, 0), coalesce(lots.consumed, 0),
           coalesce(lots.expired, 0), coalesce(lots.refunded, 0), coalesce(lots.frozen, 0), coalesce(lots.held, 0))
UNION ALL
SELECT 'lot is not the sum of its allocations', lot.id::text
    FROM hour_lot AS lot
    LEFT JOIN (SELECT lot_id, sum(minutes) AS minutes FROM hour_allocation GROUP BY lot_id) AS parts
        ON parts.lot_id = lot.id
    WHERE lot.minutes_left <> coalesce(parts.minutes, 0)
UNION ALL
SELECT 'entry is not the sum of its allocations', entry.id::text
    FROM hour_entry AS entry
    LEFT JOIN (SELECT entry_id, sum(minutes) AS minutes FROM hour_allocation GROUP BY entry_id) AS parts
        ON parts.entry_id = entry.id
    WHERE entry.minutes <> coalesce(parts.minutes, 0)
UNION ALL
SELECT 'paid package without its one credit', purchase.id::text
    FROM purchase LEFT JOIN hour_entry AS entry ON entry.source = 'purchase:' || purchase.id || '\\:paid'
    WHERE purchase.plan_type = 'package' AND purchase.state IN ('completed', 'refunded')
        AND entry.minutes IS DISTINCT FROM purchase.minutes
UNION ALL
SELECT 'credit of a purchase that is not paid', purchase.id::text
    FROM hour_lot AS lot JOIN purchase ON purchase.id = lot.purchase_id
    WHERE purchase.state NOT IN ('completed', 'refunded')
        OR lot.minutes_granted <> purchase.minutes OR lot.student_id <> purchase.student_id
UNION ALL
SELECT 'two payment intents of one purchase', purchase_id::text
    FROM stripe_call WHERE operation = 'payment_intent.create' AND state = 'answered'
    GROUP BY purchase_id HAVING count(DISTINCT object_id) > 1;
"""


def upgrade() -> None:
    for statement in (APPEND_ONLY, PLAN_FACTS, PLAN_ON_SALE, DEAD_LETTER, VIOLATION):
        op.execute(statement)
    drawn = text("INSERT INTO installation (is_only, id, created_at) VALUES (true, :id, clock_timestamp())")
    op.execute(drawn.bindparams(id=uuid4()))


def downgrade() -> None:
    op.execute("DELETE FROM installation")
    for view in ("violation", "dead_letter", "plan_on_sale", "plan_facts"):
        op.execute(f"DROP VIEW {view}")
    for table in ("hour_allocation", "hour_entry"):
        op.execute(f"DROP TRIGGER append_only ON {table}")
    op.execute("DROP FUNCTION refuse_change_of_ledger()")
