"""What could not be read: counted by a digest, never kept, for its bytes may hold anything."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from billing.db import Begin
from billing.models import UnreadableMessage
from billing.redaction import redacted_text

LONGEST = 255


@dataclass(frozen=True, slots=True)
class UnreadableFacts:
    """All that is kept of a message that is none of ours."""

    queue: str
    task: str
    reason: str
    digest: str
    size_bytes: int

    @classmethod
    def of(cls, *, queue: str, task: object, reason: str, body: bytes) -> "UnreadableFacts":
        """`task` is whatever stood where a name should be; the same queue, name and bytes are the same message."""
        name = _harmless(str(task))
        digest = hashlib.sha256(b"\0".join((_harmless(queue).encode(), name.encode(), body))).hexdigest()
        return cls(_harmless(queue), name, _harmless(reason), digest, len(body))


def record_unreadable(begin: Begin, facts: UnreadableFacts, *, now: datetime) -> None:
    """A row for each different message; one that comes again and again only counts."""
    row = insert(UnreadableMessage).values(
        digest=facts.digest,
        queue=facts.queue,
        task=facts.task,
        reason=facts.reason,
        size_bytes=facts.size_bytes,
        times=1,
        first_at=now,
        last_at=now,
    )
    again = {"times": col(UnreadableMessage.times) + 1, "last_at": now, "reason": facts.reason}
    with begin() as session:
        session.execute(row.on_conflict_do_update(index_elements=["digest"], set_=again))


def _harmless(text: str) -> str:
    """Short, printable and without secrets: neither a column nor a log line can be hurt by it."""
    ascii_only = text[: 4 * LONGEST].encode("ascii", "backslashreplace").decode()
    printable = "".join(letter if letter.isprintable() else "?" for letter in ascii_only)
    return redacted_text(printable)[:LONGEST]
