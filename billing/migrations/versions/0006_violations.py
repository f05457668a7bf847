"""The proof of every balance by ranges of students, and of what lessons took and hold."""

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"

# Every row is a broken invariant; there is none at any commit. It reads what is of the students low to high and nothing
# else, each table as few times as it can, so that a large ledger is proven piece by piece. What is of no student yet
# counts to those from 0 on.
VIOLATIONS_OF = """
CREATE FUNCTION violations_of(low bigint, high bigint) RETURNS TABLE (rule text, subject text)
LANGUAGE sql STABLE AS $$
WITH balance AS MATERIALIZED (
    SELECT * FROM student_balance WHERE student_id BETWEEN low AND high
), lot AS MATERIALIZED (
    SELECT * FROM hour_lot WHERE student_id BETWEEN low AND high
), entry AS MATERIALIZED (
    SELECT id, student_id, minutes, balance_after FROM hour_entry WHERE student_id BETWEEN low AND high
), taking AS MATERIALIZED (
    SELECT id, minutes_held, minutes_consumed, minutes_returned FROM consumption WHERE student_id BETWEEN low AND high
), total AS (
    SELECT student_id, sum(minutes_granted) AS granted, sum(minutes_left) AS remaining,
        sum(minutes_consumed) AS consumed, sum(minutes_expired) AS expired, sum(minutes_refunded) AS refunded,
        sum(minutes_frozen) AS frozen, sum(minutes_held) AS held, sum(value_cents) AS cents
    FROM lot GROUP BY student_id
), lot_movement AS (
    SELECT part.lot_id, sum(part.minutes) AS minutes,
        sum(part.minutes) FILTER (WHERE by.kind IN ('hold', 'release')) AS held,
        sum(part.minutes) FILTER (WHERE by.kind IN ('consume', 'expire', 'restore')) AS gone,
        count(*) FILTER (WHERE by.kind = 'expire') AS times_expired
    FROM lot JOIN hour_allocation AS part ON part.lot_id = lot.id JOIN hour_entry AS by ON by.id = part.entry_id
    GROUP BY part.lot_id
), entry_parts AS (
    SELECT part.entry_id, sum(part.minutes) AS minutes
    FROM entry JOIN hour_allocation AS part ON part.entry_id = entry.id GROUP BY part.entry_id
), taken AS (
    SELECT by.consumption_id, sum(by.minutes) AS minutes,
        sum(by.minutes) FILTER (WHERE by.kind IN ('hold', 'release')) AS held,
        sum(by.minutes) FILTER (WHERE by.kind IN ('consume', 'restore')) AS consumed,
        sum(by.minutes) FILTER (WHERE by.kind = 'restore') AS returned
    FROM taking JOIN hour_entry AS by ON by.consumption_id = taking.id GROUP BY by.consumption_id
)
SELECT 'balance is not the sum of its entries', balance.student_id::text
    FROM balance
    LEFT JOIN (SELECT student_id, sum(minutes) AS minutes FROM entry GROUP BY student_id) AS entries USING (student_id)
    WHERE balance.minutes_left <> coalesce(entries.minutes, 0)
UNION ALL
SELECT 'balance is not the sum of its lots', coalesce(balance.student_id, total.student_id)::text
    FROM balance FULL JOIN total USING (student_id)
    WHERE (balance.minutes_granted, balance.minutes_left, balance.minutes_consumed, balance.minutes_expired,
           balance.minutes_refunded, balance.minutes_frozen, balance.minutes_held)
        IS DISTINCT FROM (coalesce(total.granted, 0), coalesce(total.remaining, 0), coalesce(total.consumed, 0),
           coalesce(total.expired, 0), coalesce(total.refunded, 0), coalesce(total.frozen, 0), coalesce(total.held, 0))
UNION ALL
SELECT 'payments are not the value of the lots', balance.student_id::text
    FROM balance LEFT JOIN total USING (student_id)
    WHERE balance.paid_cents <> coalesce(total.cents, 0)
UNION ALL
SELECT 'entry does not go on from the one before', id::text
    FROM (
        SELECT id, balance_after, minutes,
            lag(balance_after, 1, 0) OVER (PARTITION BY student_id ORDER BY id) AS balance_before
        FROM entry
    ) AS step
    WHERE balance_after <> balance_before + minutes
UNION ALL
SELECT 'lot is not the sum of its allocations', lot.id::text
    FROM lot LEFT JOIN lot_movement ON lot_movement.lot_id = lot.id
    WHERE lot.minutes_left <> coalesce(lot_movement.minutes, 0)
UNION ALL
SELECT 'lot is not where its entries put it', lot.id::text
    FROM lot LEFT JOIN lot_movement ON lot_movement.lot_id = lot.id
    WHERE (lot.minutes_held, lot.minutes_consumed + lot.minutes_expired, lot.times_expired) IS DISTINCT FROM
        (-coalesce(lot_movement.held, 0), -coalesce(lot_movement.gone, 0), coalesce(lot_movement.times_expired, 0))
UNION ALL
SELECT 'entry is not the sum of its allocations', entry.id::text
    FROM entry LEFT JOIN entry_parts ON entry_parts.entry_id = entry.id
    WHERE entry.minutes <> coalesce(entry_parts.minutes, 0)
UNION ALL
SELECT 'consumption is not the sum of its entries', taking.id::text
    FROM taking LEFT JOIN taken ON taken.consumption_id = taking.id
    WHERE (taking.minutes_held, taking.minutes_consumed, taking.minutes_returned,
           taking.minutes_held + taking.minutes_consumed)
        IS DISTINCT FROM (-coalesce(taken.held, 0), -coalesce(taken.consumed, 0), coalesce(taken.returned, 0),
           -coalesce(taken.minutes, 0))
UNION ALL
SELECT 'paid package without its one credit', purchase.id::text
    FROM purchase LEFT JOIN hour_entry AS credit ON credit.source = 'purchase:' || purchase.id || '\\:paid'
    WHERE purchase.student_id BETWEEN low AND high
        AND purchase.plan_type = 'package' AND purchase.state IN ('completed', 'refunded')
        AND credit.minutes IS DISTINCT FROM purchase.minutes
UNION ALL
SELECT 'credit of a purchase that is not paid', purchase.id::text
    FROM lot JOIN purchase ON purchase.id = lot.purchase_id
    WHERE purchase.state NOT IN ('completed', 'refunded')
        OR lot.minutes_granted <> purchase.minutes OR lot.student_id IS DISTINCT FROM purchase.student_id
UNION ALL
SELECT 'two payment intents of one purchase', made.purchase_id::text
    FROM purchase JOIN stripe_call AS made ON made.purchase_id = purchase.id
    WHERE (purchase.student_id BETWEEN low AND high OR (purchase.student_id IS NULL AND low <= 0))
        AND made.operation = 'payment_intent.create' AND made.state = 'answered'
    GROUP BY made.purchase_id HAVING count(DISTINCT made.object_id) > 1
$$;
"""
EVERYBODY = """
CREATE VIEW violation AS SELECT rule, subject FROM violations_of(0, 9223372036854775807);
"""
BEFORE = """
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
    op.execute("DROP VIEW violation")
    op.execute(VIOLATIONS_OF)
    op.execute(EVERYBODY)


def downgrade() -> None:
    op.execute("DROP VIEW violation")
    op.execute("DROP FUNCTION violations_of(bigint, bigint)")
    op.execute(BEFORE)
