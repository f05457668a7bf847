"""Money that goes back: refunds, disputes, what Stripe has to be asked about anew, and receipts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"

STEPS = (
    "'accepted', 'intent_created', 'action_required', 'payment_processing', 'payment_failed', 'paid', 'credited', "
    "'cancelled'"
)
MORE_STEPS = "'expired', 'refunded', 'refund_failed', 'disputed', 'dispute_won', 'dispute_lost'"
ACTIONS = "'extend', 'bulk_extend', 'grant', 'correct', 'process_expired', 'undo_sweep'"
MORE_ACTIONS = "'refund', 'set_invoice'"
OPEN_BEFORE = ("student_link", "consumption_act", "staff_act", "sweep_run", "notification")
OPEN_NOW = (*OPEN_BEFORE, "refund", "stale_mark", "receipt")
DEAD_LETTER = """
CREATE OR REPLACE VIEW dead_letter AS
SELECT 'purchase' AS kind, id::text AS subject, last_error AS reason, attempts, gave_up_at AS at
    FROM purchase WHERE gave_up_at IS NOT NULL
UNION ALL
SELECT 'webhook_event', id::text, last_error, attempts, gave_up_at FROM webhook_event WHERE gave_up_at IS NOT NULL
UNION ALL
{others}
SELECT 'message', id::text, reason, times, last_at FROM unreadable_message;
"""
OTHER = """
SELECT '{table}', id::text, last_error, attempts, gave_up_at FROM {table} WHERE gave_up_at IS NOT NULL
UNION ALL
"""


# What went back of a payment, by refunds and lost disputes, is what its purchase, its lot and its balance say.
BROKEN_RETURNS_OF = """
CREATE FUNCTION broken_returns_of(low bigint, high bigint) RETURNS TABLE (rule text, subject text)
LANGUAGE sql STABLE AS $$
WITH paid AS MATERIALIZED (
    SELECT * FROM purchase WHERE student_id BETWEEN low AND high AND state IN ('completed', 'refunded')
), going_back AS (
    SELECT refund.purchase_id, sum(amount_cents) FILTER (WHERE refund.state = 'succeeded') AS gone,
        sum(amount_cents) FILTER (WHERE refund.state IN ('held', 'sent')) AS going,
        sum(refund.minutes) FILTER (WHERE refund.state = 'succeeded') AS taken,
        sum(minutes_short) FILTER (WHERE refund.state = 'succeeded') AS short
    FROM refund JOIN paid ON paid.id = refund.purchase_id GROUP BY refund.purchase_id
), disputed AS (
    SELECT dispute.purchase_id, sum(lost_cents) AS gone, sum(minutes_lost) AS taken, sum(minutes_short) AS short,
        sum(minutes_frozen) AS frozen
    FROM dispute JOIN paid ON paid.id = dispute.purchase_id GROUP BY dispute.purchase_id
), corrected AS (
    SELECT part.lot_id, -sum(part.minutes) AS minutes
    FROM hour_entry AS entry JOIN hour_allocation AS part ON part.entry_id = entry.id
    WHERE entry.student_id BETWEEN low AND high AND entry.kind = 'correct' GROUP BY part.lot_id
), fact AS (
    SELECT paid.id, paid.student_id, paid.state, paid.price_cents, paid.refunded_cents, paid.refunding_cents,
        lot.id AS lot_id, lot.minutes_frozen, lot.minutes_refunded - coalesce(corrected.minutes, 0) AS minutes_returned,
        coalesce(going_back.gone, 0) + coalesce(disputed.gone, 0) AS gone, coalesce(going_back.going, 0) AS going,
        coalesce(going_back.taken, 0) + coalesce(disputed.taken, 0) AS taken,
        coalesce(going_back.short, 0) + coalesce(disputed.short, 0) AS short,
        coalesce(disputed.frozen, 0) AS frozen
    FROM paid LEFT JOIN hour_lot AS lot ON lot.purchase_id = paid.id
    LEFT JOIN corrected ON corrected.lot_id = lot.id
    LEFT JOIN going_back ON going_back.purchase_id = paid.id
    LEFT JOIN disputed ON disputed.purchase_id = paid.id
)
SELECT 'purchase is not refunded by what went back', id::text FROM fact
    WHERE (refunded_cents, refunding_cents) <> (gone, going) OR (state = 'refunded') <> (refunded_cents = price_cents)
UNION ALL
SELECT 'lot has not lost what went back', lot_id::text FROM fact
    WHERE lot_id IS NOT NULL AND (minutes_returned, minutes_frozen) <> (taken, frozen)
UNION ALL
SELECT 'balance does not say what went back', student_id::text
    FROM (
        SELECT student_id, sum(gone) AS gone, sum(short) AS short FROM fact WHERE lot_id IS NOT NULL GROUP BY student_id
    ) AS theirs
    JOIN student_balance AS balance USING (student_id)
    WHERE (balance.returned_cents, balance.minutes_owed) <> (theirs.gone, theirs.short)
$$;
"""
EVERYTHING = """
CREATE OR REPLACE VIEW violation AS
SELECT rule, subject FROM violations_of(0, 9223372036854775807)
UNION ALL
SELECT rule, subject FROM broken_returns_of(0, 9223372036854775807);
"""
WITHOUT_RETURNS = """
CREATE OR REPLACE VIEW violation AS SELECT rule, subject FROM violations_of(0, 9223372036854775807);
"""


def dead_letter(tables: tuple[str, ...]) -> str:
    return DEAD_LETTER.format(others="".join(OTHER.format(table=table) for table in tables))


def replace_check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def upgrade() -> None:
    op.create_table(
        "receipt_counter",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.CheckConstraint("last > 0", name=op.f("ck_receipt_counter_counts")),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_receipt_counter")),
    )
    op.create_table(
        "dispute",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stripe_dispute_id", sa.String(length=255), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("amount_cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "inquiry",
                "open",
                "won",
                "lost",
                "closed",
                name="disputestate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("withdrawn_cents", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lost_cents", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("minutes_frozen", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("minutes_lost", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("minutes_short", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("evidence_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('inquiry', 'open')) = (decided_at IS NULL)", name=op.f("ck_dispute_decided_once")
        ),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_dispute_amount_positive")),
        sa.CheckConstraint("minutes_frozen = 0 OR frozen_at IS NOT NULL", name=op.f("ck_dispute_frozen_since")),
        sa.CheckConstraint("lost_cents BETWEEN 0 AND amount_cents", name=op.f("ck_dispute_loss_within_amount")),
        sa.CheckConstraint(
            "minutes_frozen >= 0 AND minutes_lost >= 0 AND minutes_short >= 0",
            name=op.f("ck_dispute_minutes_not_negative"),
        ),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_dispute_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispute")),
        sa.UniqueConstraint("stripe_dispute_id", name=op.f("uq_dispute_stripe_dispute_id")),
    )
    op.create_index(
        "ix_dispute_due",
        "dispute",
        ["evidence_due_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('inquiry', 'open')"),
    )
    op.create_index("ix_dispute_purchase", "dispute", ["purchase_id"], unique=False)
    op.create_table(
        "receipt",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hints", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferrals", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("serial", sa.Integer(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("pdf", sa.LargeBinary(), nullable=True),
        sa.Column("invoice_ref", sa.String(length=100), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_receipt_open_is_hinted")),
        sa.CheckConstraint(
            "(issued_at IS NULL) = (pdf IS NULL) AND (issued_at IS NULL) = (serial IS NULL) AND (issued_at IS NULL) = (year IS NULL) AND (issued_at IS NULL) = (facts IS NULL)",
            name=op.f("ck_receipt_issued_whole"),
        ),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_receipt_lease_is_whole")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_receipt_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_receipt_given_up_is_closed")),
        sa.CheckConstraint("lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_receipt_lease_is_of_open_work")),
        sa.CheckConstraint("serial > 0", name=op.f("ck_receipt_serial_counts")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_receipt_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("purchase_id", name=op.f("uq_receipt_purchase_id")),
        sa.UniqueConstraint("year", "serial", name=op.f("uq_receipt_year_serial")),
    )
    op.create_index(
        "ix_receipt_due", "receipt", ["due_at", "id"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_receipt_gave_up",
        "receipt",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_receipt_hint", "receipt", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_receipt_lease",
        "receipt",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_table(
        "refund",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hints", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferrals", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column(
            "origin",
            sa.Enum("staff", "external", name="refundorigin", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("amount_cents", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("minutes_short", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "held",
                "sent",
                "succeeded",
                "failed",
                "cancelled",
                name="refundstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("stripe_refund_id", sa.String(length=255), nullable=True),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.String(length=500), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state IN ('held', 'sent')) = (decided_at IS NULL)", name=op.f("ck_refund_decided_once")),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_refund_currency_code")),
        sa.CheckConstraint(
            "origin = 'staff' OR stripe_refund_id IS NOT NULL", name=op.f("ck_refund_external_is_at_stripe")
        ),
        sa.CheckConstraint(
            "state <> 'held' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name=op.f("ck_refund_held_is_open")
        ),
        sa.CheckConstraint(
            "state <> 'succeeded' OR stripe_refund_id IS NOT NULL", name=op.f("ck_refund_succeeded_at_stripe")
        ),
        sa.CheckConstraint("state IN ('held', 'sent') OR due_at IS NULL", name=op.f("ck_refund_decided_is_closed")),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_refund_open_is_hinted")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_refund_lease_is_whole")),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_refund_amount_positive")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_refund_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_refund_given_up_is_closed")),
        sa.CheckConstraint("lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_refund_lease_is_of_open_work")),
        sa.CheckConstraint("minutes >= 0 AND minutes_short >= 0", name=op.f("ck_refund_minutes_not_negative")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_refund_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("stripe_refund_id", name=op.f("uq_refund_stripe_refund_id")),
    )
    op.create_index(
        "ix_refund_due", "refund", ["due_at", "id"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_refund_gave_up", "refund", ["gave_up_at"], unique=False, postgresql_where=sa.text("gave_up_at IS NOT NULL")
    )
    op.create_index(
        "ix_refund_hint", "refund", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_refund_lease", "refund", ["lease_token"], unique=False, postgresql_where=sa.text("lease_token IS NOT NULL")
    )
    op.create_index("ix_refund_purchase", "refund", ["purchase_id", "created_at"], unique=False)
    op.create_table(
        "stale_mark",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hints", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferrals", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "subject",
            sa.Enum("refunds", "dispute", name="stalekind", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("object_id", sa.String(length=255), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=True),
        sa.Column("marks", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("marked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_stale_mark_open_is_hinted")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_stale_mark_lease_is_whole")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_stale_mark_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_stale_mark_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_stale_mark_lease_is_of_open_work")
        ),
        sa.CheckConstraint("marks > 0", name=op.f("ck_stale_mark_marks_count")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_stale_mark_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stale_mark")),
        sa.UniqueConstraint("subject", "object_id", name=op.f("uq_stale_mark_subject_object_id")),
    )
    op.create_index(
        "ix_stale_mark_due",
        "stale_mark",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_stale_mark_gave_up",
        "stale_mark",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_stale_mark_hint", "stale_mark", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_stale_mark_lease",
        "stale_mark",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.add_column("purchase", sa.Column("refunding_cents", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("purchase", sa.Column("abandoned_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("stripe_call", sa.Column("refund_id", sa.Uuid(), nullable=True))
    op.drop_constraint(op.f("uq_stripe_call_purchase_id_operation_attempt"), "stripe_call", type_="unique")
    op.drop_index(
        op.f("uq_stripe_call_open"), table_name="stripe_call", postgresql_where="((state)::text = 'open'::text)"
    )
    op.create_index(
        "uq_stripe_call_open",
        "stripe_call",
        [sa.literal_column("coalesce(refund_id, purchase_id)"), "operation"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "uq_stripe_call_attempt",
        "stripe_call",
        [sa.literal_column("coalesce(refund_id, purchase_id)"), "operation", "attempt"],
        unique=True,
    )
    op.create_foreign_key(op.f("fk_stripe_call_refund_id"), "stripe_call", "refund", ["refund_id"], ["id"])
    op.create_index(
        "ix_purchase_unpaid", "purchase", ["accepted_at"], postgresql_where=sa.text("state IN ('pending', 'failed')")
    )
    replace_check("purchase_transition", "step", f"step IN ({STEPS}, {MORE_STEPS})")
    replace_check("staff_act", "staffaction", f"action IN ({ACTIONS}, {MORE_ACTIONS})")
    replace_check(
        "purchase",
        "refunds_within_price",
        "refunded_cents >= 0 AND refunding_cents >= 0 AND refunded_cents + refunding_cents <= price_cents",
    )
    op.execute(dead_letter(OPEN_NOW))
    op.execute(BROKEN_RETURNS_OF)
    op.execute(EVERYTHING)


def downgrade() -> None:
    op.execute(WITHOUT_RETURNS)
    op.execute("DROP FUNCTION broken_returns_of(bigint, bigint)")
    op.execute(dead_letter(OPEN_BEFORE))
    op.drop_index("ix_purchase_unpaid", "purchase")
    replace_check("purchase", "refunds_within_price", "refunded_cents BETWEEN 0 AND price_cents")
    replace_check("staff_act", "staffaction", f"action IN ({ACTIONS})")
    replace_check("purchase_transition", "step", f"step IN ({STEPS})")
    op.drop_constraint(op.f("fk_stripe_call_refund_id"), "stripe_call", type_="foreignkey")
    op.drop_index("uq_stripe_call_attempt", table_name="stripe_call")
    op.drop_index("uq_stripe_call_open", table_name="stripe_call", postgresql_where=sa.text("state = 'open'"))
    op.create_index(
        op.f("uq_stripe_call_open"),
        "stripe_call",
        ["purchase_id", "operation"],
        unique=True,
        postgresql_where="((state)::text = 'open'::text)",
    )
    op.create_unique_constraint(
        op.f("uq_stripe_call_purchase_id_operation_attempt"),
        "stripe_call",
        ["purchase_id", "operation", "attempt"],
        postgresql_nulls_not_distinct=False,
    )
    op.drop_column("stripe_call", "refund_id")
    op.drop_column("purchase", "abandoned_at")
    op.drop_column("purchase", "refunding_cents")
    op.drop_index("ix_stale_mark_lease", table_name="stale_mark", postgresql_where=sa.text("lease_token IS NOT NULL"))
    op.drop_index("ix_stale_mark_hint", table_name="stale_mark", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_stale_mark_gave_up", table_name="stale_mark", postgresql_where=sa.text("gave_up_at IS NOT NULL"))
    op.drop_index("ix_stale_mark_due", table_name="stale_mark", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("stale_mark")
    op.drop_index("ix_refund_purchase", table_name="refund")
    op.drop_index("ix_refund_lease", table_name="refund", postgresql_where=sa.text("lease_token IS NOT NULL"))
    op.drop_index("ix_refund_hint", table_name="refund", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_refund_gave_up", table_name="refund", postgresql_where=sa.text("gave_up_at IS NOT NULL"))
    op.drop_index("ix_refund_due", table_name="refund", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("refund")
    op.drop_index("ix_receipt_lease", table_name="receipt", postgresql_where=sa.text("lease_token IS NOT NULL"))
    op.drop_index("ix_receipt_hint", table_name="receipt", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_receipt_gave_up", table_name="receipt", postgresql_where=sa.text("gave_up_at IS NOT NULL"))
    op.drop_index("ix_receipt_due", table_name="receipt", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("receipt")
    op.drop_index("ix_dispute_purchase", table_name="dispute")
    op.drop_index("ix_dispute_due", table_name="dispute", postgresql_where=sa.text("state IN ('inquiry', 'open')"))
    op.drop_table("dispute")
    op.drop_table("receipt_counter")
