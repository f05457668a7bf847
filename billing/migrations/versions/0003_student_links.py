"""Wishes of accounts to have what guests bought for their address."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"

DEAD_LETTER = """
CREATE OR REPLACE VIEW dead_letter AS
SELECT 'purchase' AS kind, id::text AS subject, last_error AS reason, attempts, gave_up_at AS at
    FROM purchase WHERE gave_up_at IS NOT NULL
UNION ALL
SELECT 'webhook_event', id::text, last_error, attempts, gave_up_at FROM webhook_event WHERE gave_up_at IS NOT NULL
UNION ALL
{links}
SELECT 'message', id::text, reason, times, last_at FROM unreadable_message;
"""
LINKS = """
SELECT 'student_link', id::text, last_error, attempts, gave_up_at FROM student_link WHERE gave_up_at IS NOT NULL
UNION ALL
"""


def upgrade() -> None:
    op.create_table(
        "student_link",
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
        sa.Column("external_id", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(due_at IS NULL) = (hint_at IS NULL)", name=op.f("ck_student_link_open_is_hinted")),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_student_link_lease_is_whole")
        ),
        sa.CheckConstraint("attempts >= deferrals AND deferrals >= 0", name=op.f("ck_student_link_attempts_count")),
        sa.CheckConstraint("gave_up_at IS NULL OR due_at IS NULL", name=op.f("ck_student_link_given_up_is_closed")),
        sa.CheckConstraint(
            "lease_token IS NULL OR due_at IS NOT NULL", name=op.f("ck_student_link_lease_is_of_open_work")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_student_link")),
        sa.UniqueConstraint("external_id", "email", name=op.f("uq_student_link_external_id_email")),
    )
    op.create_index(
        "ix_student_link_due",
        "student_link",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_student_link_gave_up",
        "student_link",
        ["gave_up_at"],
        unique=False,
        postgresql_where=sa.text("gave_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_student_link_hint",
        "student_link",
        ["hint_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_student_link_lease",
        "student_link",
        ["lease_token"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.execute(DEAD_LETTER.format(links=LINKS))


def downgrade() -> None:
    op.execute(DEAD_LETTER.format(links=""))
    op.drop_index(
        "ix_student_link_lease", table_name="student_link", postgresql_where=sa.text("lease_token IS NOT NULL")
    )
    op.drop_index("ix_student_link_hint", table_name="student_link", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index(
        "ix_student_link_gave_up", table_name="student_link", postgresql_where=sa.text("gave_up_at IS NOT NULL")
    )
    op.drop_index("ix_student_link_due", table_name="student_link", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("student_link")
