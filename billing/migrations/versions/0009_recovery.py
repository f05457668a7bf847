"""Recovery: what was compared with Stripe, what differs, and what people decided about dead letters."""

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"

ACTIONS = "'extend', 'bulk_extend', 'grant', 'correct', 'process_expired', 'undo_sweep', 'refund', 'set_invoice'"
MORE_ACTIONS = "'replay', 'park', 'discard', 'close_finding', 'close_case'"
CLOSED = {
    "closed_once": "(state = 'closed') = (closed_at IS NOT NULL)",
    "closed_by_somebody": "(state = 'closed') = (closed_by IS NOT NULL)",
    "closed_with_a_note": "(state = 'closed') = (note IS NOT NULL)",
}

# Where a row was never handed back, its trouble began when it was accepted. Words that name a row are blanked in what
# alike failures are known by. A mark that is older than the failure is about an earlier one.
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
DEAD_LETTER_BEFORE = """
CREATE VIEW dead_letter AS
{open_work}
SELECT 'message' AS kind, id::text AS subject, reason, times AS attempts, last_at AS at FROM unreadable_message;
"""
OF_OPEN_WORK_BEFORE = """
SELECT '{table}' AS kind, id::text AS subject, last_error AS reason, attempts, gave_up_at AS at
    FROM {table} WHERE gave_up_at IS NOT NULL
UNION ALL"""


def dead_letter() -> str:
    parts = (OF_OPEN_WORK.format(table=table, began_at=began_at) for table, began_at in BEGAN_AT.items())
    return DEAD_LETTER.format(open_work="".join(parts), named=NAMED)


def dead_letter_before() -> str:
    return DEAD_LETTER_BEFORE.format(open_work="".join(OF_OPEN_WORK_BEFORE.format(table=table) for table in BEGAN_AT))


def replace_check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def upgrade() -> None:
    op.create_table(
        "cursor",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursor")),
    )
    op.create_table(
        "reconciliation_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "scope",
            sa.Enum(
                "events", "ledger", name="reconciliationscope", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("recorded", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "seen >= 0 AND recorded >= 0 AND found >= 0 AND recorded <= seen",
            name=op.f("ck_reconciliation_run_counts_not_negative"),
        ),
        sa.CheckConstraint("until >= since", name=op.f("ck_reconciliation_run_window_has_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_run")),
    )
    op.create_index("ix_reconciliation_run_started", "reconciliation_run", ["scope", "started_at"], unique=False)
    op.add_column("account_act", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("payment_watch", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "dead_letter_mark",
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "parked", "discarded", name="deadletterstate", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["staff_act.id"], name=op.f("fk_dead_letter_mark_act_id")),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_dead_letter_mark")),
    )
    op.create_table(
        "finding",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "unknown_payment",
                "unpaid_here",
                "unpaid_there",
                "amount",
                "refund_missing",
                "refund_amount",
                "events_too_old",
                name="findingkind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=True),
        sa.Column("detail", sa.String(length=1000), nullable=False),
        sa.Column("ours_cents", sa.Integer(), nullable=True),
        sa.Column("theirs_cents", sa.Integer(), nullable=True),
        sa.Column("owner", sa.String(length=255), nullable=True),
        sa.Column(
            "state",
            sa.Enum("open", "closed", name="casestate", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=255), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_finding_closed_once")),
        sa.CheckConstraint("(state = 'closed') = (closed_by IS NOT NULL)", name=op.f("ck_finding_closed_by_somebody")),
        sa.CheckConstraint("(state = 'closed') = (note IS NOT NULL)", name=op.f("ck_finding_closed_with_a_note")),
        sa.CheckConstraint("seen_at >= opened_at", name=op.f("ck_finding_seen_after_opened")),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name=op.f("fk_finding_purchase_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding")),
        sa.UniqueConstraint("kind", "source", name=op.f("uq_finding_kind_source")),
    )
    op.create_index(
        "ix_finding_open", "finding", ["opened_at"], unique=False, postgresql_where=sa.text("state = 'open'")
    )
    op.add_column("consumption_act", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("notification", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("purchase", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("receipt", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("refund", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("staff_act", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("staff_case", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("staff_case", sa.Column("closed_by", sa.String(length=255), nullable=True))
    op.add_column("staff_case", sa.Column("note", sa.String(length=500), nullable=True))
    op.add_column("stale_mark", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("student_link", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sweep_run", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("webhook_event", sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True))
    for name, condition in CLOSED.items():
        op.create_check_constraint(op.f(f"ck_staff_case_{name}"), "staff_case", condition)
    replace_check("staff_act", "staffaction", f"action IN ({ACTIONS}, {MORE_ACTIONS})")
    op.execute(dead_letter())


def downgrade() -> None:
    op.execute("DROP VIEW dead_letter")
    op.execute(dead_letter_before())
    replace_check("staff_act", "staffaction", f"action IN ({ACTIONS})")
    for name in CLOSED:
        op.drop_constraint(op.f(f"ck_staff_case_{name}"), "staff_case", type_="check")
    op.drop_column("webhook_event", "troubled_since")
    op.drop_column("sweep_run", "troubled_since")
    op.drop_column("student_link", "troubled_since")
    op.drop_column("stale_mark", "troubled_since")
    op.drop_column("staff_case", "note")
    op.drop_column("staff_case", "closed_by")
    op.drop_column("staff_case", "closed_at")
    op.drop_column("staff_act", "troubled_since")
    op.drop_column("refund", "troubled_since")
    op.drop_column("receipt", "troubled_since")
    op.drop_column("purchase", "troubled_since")
    op.drop_column("notification", "troubled_since")
    op.drop_column("consumption_act", "troubled_since")
    op.drop_table("finding")
    op.drop_table("dead_letter_mark")
    op.drop_column("payment_watch", "troubled_since")
    op.drop_column("account_act", "troubled_since")
    op.drop_table("reconciliation_run")
    op.drop_table("cursor")
