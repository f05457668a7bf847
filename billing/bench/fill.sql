-- So many lots of so many students, a fifth of them due, with the entries and balances that belong to them.
WITH student AS (
    INSERT INTO student (email, email_verified, name, created_at)
    SELECT 'bench-' || n || '@example.com', false, 'Bench', CAST(:now AS timestamptz)
    FROM generate_series(1, CAST(:students AS bigint)) AS n
    RETURNING id
), place AS (
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM student
), lot AS (
    INSERT INTO hour_lot (
        student_id, origin, source, currency, value_cents, starts_at, expires_at, minutes_granted, minutes_left,
        minutes_consumed, minutes_expired, minutes_refunded, minutes_frozen, minutes_held
    )
    -- Bought over months, so neither the lots of a student nor those that end together lie together.
    SELECT place.id, 'grant', 'bench\:' || n, 'eur', 0, CAST(:now AS timestamptz) - interval '400 days',
        CAST(:now AS timestamptz) + CASE WHEN n % 5 = 0 THEN -1 ELSE 1 END
            * (interval '2 days' + (n * 7919 % 8640000) * interval '1 second'),
        600, 600, 0, 0, 0, 0, 0
    FROM generate_series(1, CAST(:lots AS bigint)) AS n
    JOIN place ON place.place = (n / 5 + n % 5 * 104729) % CAST(:students AS bigint)
    ORDER BY n
    RETURNING id, student_id, source
), entry AS (
    INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, at)
    SELECT student_id, 'credit', 600, 600 * row_number() OVER (PARTITION BY student_id ORDER BY id), source,
        CAST(:now AS timestamptz) - interval '400 days'
    FROM lot ORDER BY id
    RETURNING id, source
), allocation AS (
    INSERT INTO hour_allocation (entry_id, lot_id, minutes)
    SELECT entry.id, lot.id, 600 FROM entry JOIN lot USING (source)
)
INSERT INTO student_balance (
    student_id, minutes_granted, minutes_left, minutes_consumed, minutes_expired, minutes_refunded, minutes_frozen,
    minutes_held, minutes_owed, paid_cents, returned_cents
)
SELECT student_id, 600 * count(*), 600 * count(*), 0, 0, 0, 0, 0, 0, 0, 0 FROM lot GROUP BY student_id
