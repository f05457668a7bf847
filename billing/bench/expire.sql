-- What a sweep does, as one bare statement: no chunks, no locks of balances, no run that counts.
WITH taken AS MATERIALIZED (
    SELECT nextval('hour_entry_id_seq') AS entry_id, due.* FROM (
        SELECT id AS lot_id, student_id, purchase_id, minutes_left AS minutes FROM hour_lot
        WHERE minutes_left > 0 AND expires_at <= :cutoff
        ORDER BY student_id, id
    ) AS due
), entry AS (
    INSERT INTO hour_entry (id, student_id, kind, minutes, balance_after, source, purchase_id, sweep_run_id, at)
    SELECT entry_id, student_id, 'expire', -taken.minutes,
        balance.minutes_left - sum(taken.minutes) OVER (PARTITION BY student_id ORDER BY entry_id),
        'lot\:' || lot_id || '\:expired', purchase_id, :run_id, :cutoff
    FROM taken JOIN student_balance AS balance USING (student_id)
), allocation AS (
    INSERT INTO hour_allocation (entry_id, lot_id, minutes) SELECT entry_id, lot_id, -minutes FROM taken
), lots AS (
    UPDATE hour_lot AS lot
    SET minutes_left = lot.minutes_left - taken.minutes, minutes_expired = lot.minutes_expired + taken.minutes,
        times_expired = lot.times_expired + 1
    FROM taken WHERE lot.id = taken.lot_id
), lost AS (
    SELECT student_id, sum(minutes) AS minutes FROM taken GROUP BY student_id
), balances AS (
    UPDATE student_balance AS balance
    SET minutes_left = balance.minutes_left - lost.minutes, minutes_expired = balance.minutes_expired + lost.minutes
    FROM lost WHERE balance.student_id = lost.student_id
)
SELECT count(*) FROM taken
