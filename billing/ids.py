"""New and derived identifiers: the only place that makes one."""

from uuid import UUID, uuid4, uuid5


def new_id() -> UUID:
    return uuid4()


def named_id(installation: UUID, name: str) -> UUID:
    """The identifier of what has a name and no row: the same one in every process of this installation."""
    return uuid5(installation, name)


def installation_mark(installation: UUID, subject: UUID) -> str:
    """What our objects carry at Stripe, so that another installation on the same account is never taken for us."""
    return f"{installation}:{subject}"


def marked_subject(installation: UUID, mark: str | None) -> UUID | None:
    """What a mark of this installation names; None for a mark of another one, or for something else."""
    theirs, _, subject = (mark or "").partition(":")
    try:
        return UUID(subject) if UUID(theirs) == installation else None
    except ValueError:
        return None


def stripe_key(installation: UUID, operation: str, subject: UUID, attempt: int) -> str:
    """An idempotency key: the same intent to call gives the same key in every process and after every crash."""
    return f"{installation}:{operation}:{subject}:{attempt}"
