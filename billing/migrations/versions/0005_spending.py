"""Hours that are spent: consumptions, acts of the platform and of staff, sweeps, notifications, audits."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"

ENTRY_KINDS = "'credit', 'consume', 'hold', 'release', 'expire', 'restore', 'refund', 'freeze', 'thaw', 'transfer'"
CLOSED = ("student_link", "consumption_act", "staff_act", "sweep_run", "notification")
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

KEPT_ACTS = """
CREATE FUNCTION refuse_change_of_act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what staff did is kept as it was decided' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER decided_is_kept BEFORE UPDATE ON staff_act
    FOR EACH ROW WHEN (OLD.state <> 'requested') EXECUTE FUNCTION refuse_change_of_act();
CREATE TRIGGER all_are_kept BEFORE DELETE OR TRUNCATE ON staff_act
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_act();
"""


def dead_letter(*tables: str) -> str:
    return DEAD_LETTER.format(others="".join(OTHER.format(table=table) for table in tables))


def replace_entry_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_hour_entry_entrykind"), "hour_entry", type_="check")
    op.create_check_constraint(op.f("ck_hour_entry_entrykind"), "hour_entry", f"kind IN ({kinds})")


def upgrade() -> None:
    op.create_table(
        "ledger_audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("students", sa.Integer(), nullable=False),
        sa.Column("violations", sa.Integer(), nullable=False),
        sa.CheckConstraint("students >= 0 AND violations >= 0", name=op.f("ck_ledger_audit_counts_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_audit")),
    )
    op.create_index("ix_ledger_audit_finished", "ledger_audit", ["finished_at"], unique=False)
    op.create_table(
        "staff_act",
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
        sa.Column(
            "action",
            sa.Enum(
                "extend",
                "bulk_extend",
                "grant",
                "correct",
                "process_expired",
                "undo_sweep",
                name="staffaction",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("target", sa.String(length=255), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("body_hash", sa.LargeBinary(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "requested", "done", "refused", name="actstate", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.String(length=500), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'refused') = (error_type IS NOT NULL)", name=op.f("ck_staff_act_refusal_says_why")
        ),
        sa.CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name=op.f("ck_staff_act_decided_once")),
        sa.CheckConstraint("reason = btrim(reason) AND reason <> ''", name=op.f("ck_staff_act_has_reason")),
        sa.CheckConstraint(
            "state <> 'requested' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL",
            name=op.f("ck_staff_act_requested_is_open"),
        ),
        sa.CheckConstraint("state = 'requested' OR due_at IS NULL", name=op.f("ck_staff_act_decided_is_closed")),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_staff_act_open_is_hinted")),
        sa.CheckConstraint("(idempotency_key IS NULL) = (body_hash IS NULL)", name=op.f("ck_staff_act_key_has_body")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_staff_act_lease_is_whole")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_staff_act_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_staff_act_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_staff_act_lease_is_of_open_work")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_act")),
    )
    op.create_index(
        "ix_staff_act_due", "staff_act", ["due_at", "id"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_staff_act_gave_up",
        "staff_act",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_staff_act_hint", "staff_act", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_staff_act_lease",
        "staff_act",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_index("ix_staff_act_requested", "staff_act", ["requested_at", "id"], unique=False)
    op.create_index("ix_staff_act_target", "staff_act", ["target", "requested_at"], unique=False)
    op.create_index(
        "uq_staff_act_key",
        "staff_act",
        ["actor", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("state <> 'refused'"),
    )
    op.create_table(
        "consumption",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.String(length=200), nullable=False),
        sa.Column(
            "mode",
            sa.Enum("consume", "hold", name="consumptionmode", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "requested",
                "held",
                "consumed",
                "released",
                "lapsed",
                "refunded",
                "refused",
                name="consumptionstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("minutes_held", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("minutes_consumed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("minutes_returned", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("caller_sub", sa.String(length=255), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(mode = 'hold') = (ends_at IS NOT NULL)", name=op.f("ck_consumption_holds_end")),
        sa.CheckConstraint("(state = 'consumed') = (minutes_consumed > 0)", name=op.f("ck_consumption_consumed_takes")),
        sa.CheckConstraint("(state = 'held') = (minutes_held > 0)", name=op.f("ck_consumption_held_holds")),
        sa.CheckConstraint(
            "(state = 'refused') = (error_type IS NOT NULL)", name=op.f("ck_consumption_refusal_says_why")
        ),
        sa.CheckConstraint("(state = 'requested') = (decided_at IS NULL)", name=op.f("ck_consumption_decided_once")),
        sa.CheckConstraint("minutes > 0", name=op.f("ck_consumption_minutes_positive")),
        sa.CheckConstraint(
            "minutes_held >= 0 AND minutes_consumed >= 0 AND minutes_returned >= 0",
            name=op.f("ck_consumption_minutes_not_negative"),
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_consumption_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consumption")),
    )
    op.create_index("ix_consumption_group", "consumption", ["group_id"], unique=False)
    op.create_index(
        "ix_consumption_lapse",
        "consumption",
        ["ends_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "uq_consumption_session",
        "consumption",
        ["student_id", "session_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'refused'"),
    )
    op.create_table(
        "notification",
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
        sa.Column(
            "topic",
            sa.Enum(
                "expires_in_a_week",
                "expires_in_days",
                "expires_tomorrow",
                "expired",
                "low_balance",
                "empty_balance",
                name="notificationkind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "sent",
                "skipped",
                name="notificationstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name=op.f("ck_notification_decided_once")),
        sa.CheckConstraint(
            "state <> 'waiting' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL",
            name=op.f("ck_notification_waiting_is_open"),
        ),
        sa.CheckConstraint("state = 'waiting' OR due_at IS NULL", name=op.f("ck_notification_decided_is_closed")),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_notification_open_is_hinted")),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_notification_lease_is_whole")
        ),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_notification_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_notification_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_notification_lease_is_of_open_work")
        ),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_notification_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("topic", "subject", "student_id", name=op.f("uq_notification_topic_subject_student_id")),
    )
    op.create_index(
        "ix_notification_due",
        "notification",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notification_gave_up",
        "notification",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notification_hint",
        "notification",
        ["hint_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notification_lease",
        "notification",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_index("ix_notification_student", "notification", ["student_id", "created_at"], unique=False)
    op.create_table(
        "sweep_run",
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
            "trigger",
            sa.Enum(
                "nightly",
                "late",
                "staff",
                "command",
                name="sweeptrigger",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("cutoff", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grace_hours", sa.Integer(), nullable=False),
        sa.Column("student_id", sa.BigInteger(), nullable=True),
        sa.Column("is_told", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "running", "finished", "undone", name="sweepstate", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("chunks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("students", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lots", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("minutes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'running') = (finished_at IS NULL)", name=op.f("ck_sweep_run_finished_once")),
        sa.CheckConstraint("(state = 'undone') = (undone_at IS NOT NULL)", name=op.f("ck_sweep_run_undone_once")),
        sa.CheckConstraint("state = 'running' OR due_at IS NULL", name=op.f("ck_sweep_run_finished_is_closed")),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_sweep_run_open_is_hinted")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_sweep_run_lease_is_whole")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_sweep_run_attempts_count")),
        sa.CheckConstraint(
            "chunks >= 0 AND students >= 0 AND lots >= 0 AND minutes >= 0",
            name=op.f("ck_sweep_run_counts_not_negative"),
        ),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_sweep_run_given_up_is_closed")),
        sa.CheckConstraint("grace_hours >= 0", name=op.f("ck_sweep_run_grace_not_negative")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_sweep_run_lease_is_of_open_work")
        ),
        sa.ForeignKeyConstraint(["act_id"], ["staff_act.id"], name=op.f("fk_sweep_run_act_id")),
        sa.ForeignKeyConstraint(["student_id"], ["student.id"], name=op.f("fk_sweep_run_student_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_run")),
    )
    op.create_index(
        "ix_sweep_run_due", "sweep_run", ["due_at", "id"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_sweep_run_gave_up",
        "sweep_run",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_sweep_run_hint", "sweep_run", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_sweep_run_lease",
        "sweep_run",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_index("ix_sweep_run_started", "sweep_run", ["started_at"], unique=False)
    op.create_table(
        "consumption_act",
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
        sa.Column(
            "act",
            sa.Enum(
                "book",
                "capture",
                "release",
                "refund",
                name="consumptionactkind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("consumption_id", sa.Uuid(), nullable=True),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("body_hash", sa.LargeBinary(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "requested", "done", "refused", name="actstate", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("error_type", sa.String(length=40), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'refused') = (error_type IS NOT NULL)", name=op.f("ck_consumption_act_refusal_says_why")
        ),
        sa.CheckConstraint(
            "(state = 'requested') = (decided_at IS NULL)", name=op.f("ck_consumption_act_decided_once")
        ),
        sa.CheckConstraint("act = 'refund' OR reason IS NULL", name=op.f("ck_consumption_act_refunds_have_reasons")),
        sa.CheckConstraint(
            "state <> 'requested' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL",
            name=op.f("ck_consumption_act_requested_is_open"),
        ),
        sa.CheckConstraint("state = 'requested' OR due_at IS NULL", name=op.f("ck_consumption_act_decided_is_closed")),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_consumption_act_open_is_hinted")),
        sa.CheckConstraint(
            "(idempotency_key IS NULL) = (body_hash IS NULL)", name=op.f("ck_consumption_act_key_has_body")
        ),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_consumption_act_lease_is_whole")
        ),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_consumption_act_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_consumption_act_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_consumption_act_lease_is_of_open_work")
        ),
        sa.CheckConstraint("minutes > 0", name=op.f("ck_consumption_act_minutes_positive")),
        sa.ForeignKeyConstraint(["consumption_id"], ["consumption.id"], name=op.f("fk_consumption_act_consumption_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consumption_act")),
    )
    op.create_index(
        "ix_consumption_act_due",
        "consumption_act",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_consumption_act_gave_up",
        "consumption_act",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index("ix_consumption_act_group", "consumption_act", ["group_id", "requested_at"], unique=False)
    op.create_index(
        "ix_consumption_act_hint",
        "consumption_act",
        ["hint_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_consumption_act_lease",
        "consumption_act",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_index(
        "uq_consumption_act_key",
        "consumption_act",
        ["scope", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("state <> 'refused'"),
    )
    op.add_column("hour_entry", sa.Column("consumption_id", sa.Uuid(), nullable=True))
    op.add_column("hour_entry", sa.Column("sweep_run_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_hour_entry_consumption",
        "hour_entry",
        ["consumption_id"],
        unique=False,
        postgresql_where=sa.text("consumption_id IS NOT NULL"),
    )
    op.create_index(
        "ix_hour_entry_sweep_run",
        "hour_entry",
        ["sweep_run_id", "id"],
        unique=False,
        postgresql_where=sa.text("sweep_run_id IS NOT NULL"),
    )
    op.create_foreign_key(op.f("fk_hour_entry_consumption_id"), "hour_entry", "consumption", ["consumption_id"], ["id"])
    op.create_foreign_key(op.f("fk_hour_entry_sweep_run_id"), "hour_entry", "sweep_run", ["sweep_run_id"], ["id"])
    op.add_column(
        "hour_lot", sa.Column("times_expired", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("student", sa.Column("is_warned", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.create_check_constraint(op.f("ck_hour_lot_currency_code"), "hour_lot", "currency ~ '^[a-z]{3}$'")
    op.create_check_constraint(op.f("ck_hour_lot_expiries_count"), "hour_lot", "times_expired >= 0")
    replace_entry_kinds(f"{ENTRY_KINDS}, 'correct'")
    op.execute(dead_letter(*CLOSED))
    op.execute(KEPT_ACTS)


def downgrade() -> None:
    op.execute(dead_letter("student_link"))
    replace_entry_kinds(ENTRY_KINDS)
    op.drop_constraint(op.f("ck_hour_lot_expiries_count"), "hour_lot", type_="check")
    op.drop_constraint(op.f("ck_hour_lot_currency_code"), "hour_lot", type_="check")
    op.drop_column("student", "is_warned")
    op.drop_column("hour_lot", "times_expired")
    op.drop_constraint(op.f("fk_hour_entry_sweep_run_id"), "hour_entry", type_="foreignkey")
    op.drop_constraint(op.f("fk_hour_entry_consumption_id"), "hour_entry", type_="foreignkey")
    op.drop_index(
        "ix_hour_entry_sweep_run", table_name="hour_entry", postgresql_where=sa.text("sweep_run_id IS NOT NULL")
    )
    op.drop_index(
        "ix_hour_entry_consumption", table_name="hour_entry", postgresql_where=sa.text("consumption_id IS NOT NULL")
    )
    op.drop_column("hour_entry", "sweep_run_id")
    op.drop_column("hour_entry", "consumption_id")
    op.drop_index(
        "uq_consumption_act_key", table_name="consumption_act", postgresql_where=sa.text("state <> 'refused'")
    )
    op.drop_index(
        "ix_consumption_act_lease", table_name="consumption_act", postgresql_where=sa.text("lease_token IS NOT NULL")
    )
    op.drop_index(
        "ix_consumption_act_hint", table_name="consumption_act", postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.drop_index("ix_consumption_act_group", table_name="consumption_act")
    op.drop_index(
        "ix_consumption_act_gave_up", table_name="consumption_act", postgresql_where=sa.text("gave_up_at IS NOT NULL")
    )
    op.drop_index(
        "ix_consumption_act_due", table_name="consumption_act", postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.drop_table("consumption_act")
    op.drop_index("ix_sweep_run_started", table_name="sweep_run")
    op.drop_index("ix_sweep_run_lease", table_name="sweep_run", postgresql_where=sa.text("lease_token IS NOT NULL"))
    op.drop_index("ix_sweep_run_hint", table_name="sweep_run", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_sweep_run_gave_up", table_name="sweep_run", postgresql_where=sa.text("gave_up_at IS NOT NULL"))
    op.drop_index("ix_sweep_run_due", table_name="sweep_run", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("sweep_run")
    op.drop_index("ix_notification_student", table_name="notification")
    op.drop_index(
        "ix_notification_lease", table_name="notification", postgresql_where=sa.text("lease_token IS NOT NULL")
    )
    op.drop_index("ix_notification_hint", table_name="notification", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index(
        "ix_notification_gave_up", table_name="notification", postgresql_where=sa.text("gave_up_at IS NOT NULL")
    )
    op.drop_index("ix_notification_due", table_name="notification", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("notification")
    op.drop_index("uq_consumption_session", table_name="consumption", postgresql_where=sa.text("state <> 'refused'"))
    op.drop_index("ix_consumption_lapse", table_name="consumption", postgresql_where=sa.text("state = 'held'"))
    op.drop_index("ix_consumption_group", table_name="consumption")
    op.drop_table("consumption")
    op.drop_index("uq_staff_act_key", table_name="staff_act", postgresql_where=sa.text("state <> 'refused'"))
    op.drop_index("ix_staff_act_target", table_name="staff_act")
    op.drop_index("ix_staff_act_requested", table_name="staff_act")
    op.drop_index("ix_staff_act_lease", table_name="staff_act", postgresql_where=sa.text("lease_token IS NOT NULL"))
    op.drop_index("ix_staff_act_hint", table_name="staff_act", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index("ix_staff_act_gave_up", table_name="staff_act", postgresql_where=sa.text("gave_up_at IS NOT NULL"))
    op.drop_index("ix_staff_act_due", table_name="staff_act", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("staff_act")
    op.execute("DROP FUNCTION refuse_change_of_act()")
    op.drop_index("ix_ledger_audit_finished", table_name="ledger_audit")
    op.drop_table("ledger_audit")
