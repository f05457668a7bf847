"""Messages of this process that are none of ours, until the sweeper's thread has written them down.

The main process must not wait for a database between two messages. What cannot be written is at least in the log.
"""

from collections import deque

import structlog

from billing.failures import UnreadableFacts

log: structlog.stdlib.BoundLogger = structlog.get_logger("workers.unreadable")

MOST_WAITING = 1_000

_waiting: deque[UnreadableFacts] = deque(maxlen=MOST_WAITING)


def note(facts: UnreadableFacts) -> None:
    log.error(
        "message_unreadable",
        queue=facts.queue,
        name=facts.task,
        reason=facts.reason,
        digest=facts.digest,
        size_bytes=facts.size_bytes,
    )
    _waiting.append(facts)


def next_waiting() -> UnreadableFacts | None:
    """The oldest one; hand it back with `keep` where it could not be written."""
    return _waiting.popleft() if _waiting else None


def keep(facts: UnreadableFacts) -> None:
    _waiting.appendleft(facts)
