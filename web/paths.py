"""Where things are: every route answers under two prefixes, and answers name the first."""

from uuid import UUID

PREFIX = "/api/finances/api/"
PREFIXES = (PREFIX, "/api/finances/")


def purchase_path(purchase_id: UUID) -> str:
    return f"{PREFIX}purchase/{purchase_id}/"


def purchase_events_path(purchase_id: UUID) -> str:
    return f"{purchase_path(purchase_id)}events/"
