"""Indexes by time for the figures of the last hour and the last day.

Those of rows that come in the order of their time are a few pages each; the one of events holds what is counted of
them, so that their bodies are not read for it.
"""

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"

BY_TIME = (
    ("ix_purchase_accepted", "purchase", "accepted_at"),
    ("ix_purchase_transition_at", "purchase_transition", "at"),
    ("ix_hour_entry_at", "hour_entry", "at"),
)


def upgrade() -> None:
    op.create_index(
        "ix_webhook_event_received",
        "webhook_event",
        ["received_at"],
        postgresql_include=["state", "outcome", "processed_at"],
    )
    for name, table, column in BY_TIME:
        op.create_index(
            name,
            table,
            [column],
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 16, "autosummarize": "on"},
        )


def downgrade() -> None:
    op.drop_index("ix_webhook_event_received", "webhook_event")
    for name, table, _ in BY_TIME:
        op.drop_index(name, table)
