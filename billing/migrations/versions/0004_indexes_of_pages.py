"""Indexes for the pages of a student's history, purchases and packages."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    op.drop_index("ix_purchase_student", "purchase")
    op.create_index(
        "ix_purchase_student",
        "purchase",
        ["student_id", "transaction_id"],
        postgresql_include=["caller_sub", "paid_at"],
    )
    op.create_index(
        "ix_purchase_caller",
        "purchase",
        ["caller_sub", "transaction_id"],
        postgresql_where=sa.text("caller_sub IS NOT NULL"),
    )
    op.drop_index("ix_hour_lot_student", "hour_lot")
    op.create_index("ix_hour_lot_student", "hour_lot", ["student_id", "expires_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_hour_lot_student", "hour_lot")
    op.create_index("ix_hour_lot_student", "hour_lot", ["student_id", "expires_at"])
    op.drop_index("ix_purchase_caller", "purchase")
    op.drop_index("ix_purchase_student", "purchase")
    op.create_index("ix_purchase_student", "purchase", ["student_id", "transaction_id"])
