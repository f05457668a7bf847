"""Events that come before their purchase knows its payment say for which one they wait."""

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    op.add_column("webhook_event", sa.Column("waits_for", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_webhook_event_waits_for", "webhook_event", ["waits_for"], postgresql_where=sa.text("waits_for IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_event_waits_for", "webhook_event")
    op.drop_column("webhook_event", "waits_for")
