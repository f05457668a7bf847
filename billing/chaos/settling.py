"""Whether everything is settled: nothing wants work, here or at Stripe, and both sides of the money agree."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text

from billing.chaos.books import ListsUnreadableError, read_ours, read_stripe
from billing.chaos.line import Line
from billing.db import Begin
from billing.errors import DatabaseUnavailableError
from billing.models import Notification, PaymentWatch, Purchase
from billing.work.kinds import OPEN_KINDS
from billing.work.waiting import due_by_kind

ALWAYS_DUE = PaymentWatch.kind
"""A payment of which nothing is heard is asked about after five minutes, whatever happened: with thousands of buyers
who never pay there is always one due. What such a question would find out is looked for by itself."""

WAITING = {
    ALWAYS_DUE: "false",
    Notification.kind: "false",  # a letter waits for its day
    Purchase.kind: """
        state = 'queued'
        OR (cancel_requested_at IS NOT NULL AND state IN ('pending', 'failed') AND due_at IS NOT NULL)
    """,  # one that can be paid waits for its buyer, for days
}
"""What of a kind is unfinished, where it is not all that is open: put off is not done."""

PUT_OFF = text(
    " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, count(*) AS number, max(last_error) AS reason FROM {kind} WHERE {waiting}"  # noqa: S608
        for kind in (one.model.kind for one in OPEN_KINDS)
        for waiting in [WAITING.get(kind, "due_at IS NOT NULL")]
    )
)


@dataclass(frozen=True, slots=True)
class Settling:
    begin: Begin
    control: Line
    stripe: Line
    """With the secret key."""

    def unfinished(self) -> str | None:
        """What is not settled, in words; None where all is."""
        try:
            return next(self._reasons(), None)
        except DatabaseUnavailableError:
            return "the database is away"
        except ListsUnreadableError:
            return "the sandbox is away"

    def _reasons(self) -> Iterator[str]:
        """The cheap questions first."""
        due = due_by_kind(self.begin)
        yield from (f"{number} {kind} due" for kind, number in due.items() if kind != ALWAYS_DUE)
        with self.begin() as session:
            rows = session.execute(PUT_OFF).all()
        yield from (f"{row.number} {row.kind} put off ({row.reason or 'in hand'})" for row in rows if row.number)
        deliveries = self.control.ask("GET", "/deliveries")
        if deliveries is None or deliveries.body["pending"]:
            yield f"{deliveries.body['pending'] if deliveries else 'all'} deliveries"
        stripe, ours = read_stripe(self.stripe), read_ours(self.begin)
        if lost := ours.lost(stripe):
            yield f"{len(lost)} paid and not credited"
        if stripe.kept_cents != ours.kept_cents:
            yield f"{stripe.kept_cents} cents at Stripe, {ours.kept_cents} here"
