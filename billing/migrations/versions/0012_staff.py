"""Exports by a worker, sessions of the admin that end, and indexes for what people look for in its lists."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0012"
down_revision: str | None = "0011"

# (name, table, columns, condition)
INDEXES = (
    ("ix_consumption_requested", "consumption", ["requested_at", "id"], None),
    ("ix_consumption_session_id", "consumption", ["session_id"], None),
    ("ix_consumption_student", "consumption", ["student_id", "requested_at"], None),
    ("ix_hour_entry_purchase", "hour_entry", ["purchase_id"], "purchase_id IS NOT NULL"),
    ("ix_purchase_transition_cause", "purchase_transition", ["cause"], None),
    ("ix_purchase_transition_failed", "purchase_transition", ["at"], "step = 'payment_failed'"),
    ("ix_stale_mark_purchase", "stale_mark", ["purchase_id"], "due_at IS NOT NULL"),
    ("ix_webhook_event_stopped", "webhook_event", ["state", "id"], "state IN ('parked', 'dead')"),
    ("ix_webhook_event_odd", "webhook_event", ["outcome", "id"], "outcome IN ('difference', 'wait', 'wrong_mode')"),
    ("ix_webhook_event_troubled", "webhook_event", ["id"], "last_error IS NOT NULL"),
)

# As in 0009, with one kind of open work more.
DEAD_LETTER = """
CREATE OR REPLACE VIEW dead_letter AS
WITH letter AS (
{open_work}
    SELECT 'message' AS kind, id::text AS subject, reason, times AS attempts, last_at AS at, first_at
        FROM unreadable_message
)
SELECT letter.kind, letter.subject, letter.reason, letter.attempts, letter.at,
    split_part(letter.reason, ':', 1) AS error_class, least(letter.first_at, letter.at) AS first_at,
    md5(letter.kind || ' ' || coalesce(regexp_replace(letter.reason, '{named}', '#', 'gi'), '')) AS digest,
    coalesce(mark.state, 'dead') AS state
FROM letter LEFT JOIN dead_letter_mark AS mark
    ON mark.kind = letter.kind AND mark.subject = letter.subject AND mark.at >= letter.at;
"""
OF_OPEN_WORK = """
    SELECT '{table}' AS kind, id::text AS subject, last_error AS reason, attempts, gave_up_at AS at,
        coalesce(troubled_since, {began_at}) AS first_at
        FROM {table} WHERE gave_up_at IS NOT NULL
    UNION ALL"""
NAMED = r"\S+@\S+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\m[a-z]{2,6}_\w*[0-9]\w*|\m[0-9a-f]{16,}\M|[0-9]+"
BEGAN_AT = {
    "purchase": "accepted_at",
    "webhook_event": "received_at",
    "student_link": "requested_at",
    "consumption_act": "requested_at",
    "staff_act": "requested_at",
    "sweep_run": "started_at",
    "notification": "created_at",
    "refund": "created_at",
    "stale_mark": "marked_at",
    "receipt": "requested_at",
    "account_act": "requested_at",
    "payment_watch": "began_at",
}


def dead_letter(kinds: dict[str, str]) -> str:
    parts = (OF_OPEN_WORK.format(table=table, began_at=began_at) for table, began_at in kinds.items())
    return DEAD_LETTER.format(open_work="".join(parts), named=NAMED)


def upgrade() -> None:
    op.create_table(
        "export",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hint_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hints", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferrals", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sub", sa.String(length=255), nullable=False),
        sa.Column("list_name", sa.String(length=40), nullable=False),
        sa.Column("selection", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "writing", "ready", "erased", name="exportstate", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("rows", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("downloaded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("downloaded_at >= ready_at", name=op.f("ck_export_downloaded_once_ready")),
        sa.CheckConstraint("(state = 'erased') = (erased_at IS NOT NULL)", name=op.f("ck_export_erased_once")),
        sa.CheckConstraint("(state = 'writing') = (ready_at IS NULL)", name=op.f("ck_export_ready_once")),
        sa.CheckConstraint(
            "state <> 'writing' OR due_at IS NOT NULL OR gave_up_at IS NOT NULL", name=op.f("ck_export_writing_is_open")
        ),
        sa.CheckConstraint("state = 'writing' OR due_at IS NULL", name=op.f("ck_export_ready_is_closed")),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_export_open_is_hinted")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_export_lease_is_whole")),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_export_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_export_given_up_is_closed")),
        sa.CheckConstraint("lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_export_lease_is_of_open_work")),
        sa.CheckConstraint("rows >= 0", name=op.f("ck_export_rows_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export")),
    )
    op.create_index(
        "ix_export_due", "export", ["due_at", "id"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index(
        "ix_export_gave_up", "export", ["gave_up_at"], unique=False, postgresql_where=sa.text("gave_up_at IS NOT NULL")
    )
    op.create_index(
        "ix_export_hint", "export", ["hint_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index("ix_export_kept", "export", ["ready_at"], unique=False, postgresql_where=sa.text("state = 'ready'"))
    op.create_index(
        "ix_export_lease", "export", ["lease_token"], unique=False, postgresql_where=sa.text("lease_token IS NOT NULL")
    )
    op.create_index(
        "ix_export_news",
        "export",
        ["sub"],
        unique=False,
        postgresql_where=sa.text("state = 'ready' AND downloaded_at IS NULL"),
    )
    op.create_index("ix_export_sub", "export", ["sub", "requested_at"], unique=False)
    op.create_table(
        "staff_sign_in",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sub", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.String(length=20)), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signed_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("signed_out_at >= signed_in_at", name=op.f("ck_staff_sign_in_ends_after_it_began")),
        sa.CheckConstraint("until > signed_in_at", name=op.f("ck_staff_sign_in_has_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_sign_in")),
    )
    op.create_index("ix_staff_sign_in_until", "staff_sign_in", ["until"], unique=False)
    op.create_table(
        "export_part",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("number > 0 AND rows >= 0", name=op.f("ck_export_part_counts")),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("fk_export_part_export_id")),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("pk_export_part")),
    )
    for name, table, columns, condition in INDEXES:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, columns, postgresql_where=where)
    op.drop_index("ix_purchase_transition_at", "purchase_transition")  # of which only that of failures is read
    op.execute("ALTER TABLE webhook_event SET (toast_tuple_target = 512)")  # bodies that come from now on lie apart
    op.execute(dead_letter({**BEGAN_AT, "export": "requested_at"}))


def downgrade() -> None:
    op.execute(dead_letter(BEGAN_AT))
    op.execute("ALTER TABLE webhook_event RESET (toast_tuple_target)")
    op.create_index(
        "ix_purchase_transition_at",
        "purchase_transition",
        ["at"],
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 16, "autosummarize": "on"},
    )
    for name, table, *_ in INDEXES:
        op.drop_index(name, table)
    op.drop_table("export_part")
    op.drop_table("staff_sign_in")
    op.drop_table("export")
