"""The ends that lots had before they were extended, so that any past balance can be told as it was."""

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"

# What is known of the past is what staff did; an end is whole to the millisecond in their acts.
KNOWN = """
INSERT INTO lot_end (lot_id, source, expired_at, expires_at, at)
SELECT lot.id, 'staff_act:' || act.id, (was.facts ->> 'expires_at')::timestamptz,
    (became.facts ->> 'expires_at')::timestamptz, act.decided_at
FROM staff_act AS act
CROSS JOIN LATERAL jsonb_array_elements(coalesce(act.before -> 'packages', jsonb_build_array(act.before))) AS was (facts)
JOIN LATERAL jsonb_array_elements(coalesce(act.after -> 'packages', jsonb_build_array(act.after))) AS became (facts)
    ON became.facts -> 'transaction_id' = was.facts -> 'transaction_id'
JOIN purchase ON purchase.transaction_id = (was.facts ->> 'transaction_id')::bigint
JOIN hour_lot AS lot ON lot.purchase_id = purchase.id
WHERE act.action IN ('extend', 'bulk_extend') AND act.state = 'done'
ORDER BY act.decided_at, lot.id
"""
APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lot_end
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_ledger()
"""


def upgrade() -> None:
    op.create_table(
        "lot_end",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("lot_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("expires_at > expired_at", name=op.f("ck_lot_end_ends_later")),
        sa.ForeignKeyConstraint(["lot_id"], ["hour_lot.id"], name=op.f("fk_lot_end_lot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot_end")),
        sa.UniqueConstraint("lot_id", "source", name=op.f("uq_lot_end_lot_id_source")),
    )
    op.create_index("ix_lot_end_lot", "lot_end", ["lot_id", "at"], unique=False)
    op.execute(KNOWN)
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    op.drop_table("lot_end")
