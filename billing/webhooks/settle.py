"""The end of an event's work: its effect, and its outcome on its row, in one transaction."""

from collections.abc import Sequence

import structlog
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlmodel import Session

from billing import retry, work
from billing.errors import TransientError
from billing.messages import FollowUp
from billing.models import WebhookEvent
from billing.purchases import changes, completion
from billing.purchases.news import Context
from billing.states import EventState, Outcome
from billing.webhooks.events import StripeEvent, read_event, read_intent
from billing.webhooks.handlers import handle
from billing.webhooks.plain import lock_in_order, plain_payments

log = structlog.get_logger(__name__)
CLOSE = text("""
    UPDATE webhook_event AS event
    SET state = CASE over.outcome WHEN 'applied' THEN 'applied' ELSE 'ignored' END, outcome = over.outcome,
        processed_at = :now, due_at = NULL, hint_at = NULL, lease_until = NULL, lease_token = NULL, hints = 0
    FROM unnest(CAST(:ids AS bigint[]), CAST(:outcomes AS text[])) AS over (id, outcome)
    WHERE event.id = over.id
""")

Ending = Outcome | Exception
"""What a handler came to: an outcome, or the error that broke it."""
Pair = tuple[WebhookEvent, StripeEvent | None]
"""An event's row, and the event where it is one for us to apply."""


def settle_batch(session: Session, claim: work.Claim[WebhookEvent], context: Context) -> list[FollowUp]:
    """The plain payments of a claim in a few statements, everything else through its handler."""
    pairs = [(row, read_event(row)) for row in work.resume(session, claim)]
    readable = [(row, event) for row, event in pairs if event is not None]
    sold = lock_in_order(session, [event for _, event in readable])
    payments = plain_payments(readable, sold, context)
    if payments:
        completion.complete(session, list(payments.values()), context.deployment, now=context.now)
    endings = [Outcome.APPLIED if row.id in payments else _try(session, event, context) for row, event in pairs]
    _end(session, pairs, endings, context)
    log.info("events_worked", events=len(pairs), plain=len(payments))
    return changes.noted(session)


def settle_alone(
    session: Session, claim: work.Claim[WebhookEvent], context: Context, terms: work.LeaseTerms
) -> list[FollowUp]:
    """One event through its handler, unless it has cost too many workers."""
    for row in work.resume(session, claim):
        if work.is_worn_out(row, terms):
            _die(row, f"lost {terms.lost_claims} times by the workers that had it")
        else:
            with structlog.contextvars.bound_contextvars(request_id=row.request_id):
                event = read_event(row)
                ending = _try(session, event, context)
                _end(session, [(row, event)], [ending], context)
                log.info("event_worked", event_id=row.stripe_event_id, ending=str(ending))
    return changes.noted(session)


def _try(session: Session, event: StripeEvent | None, context: Context) -> Ending:
    """A broken handler undoes its own changes only; a database that is away or wants a repetition ends it all."""
    try:
        with session.begin_nested():
            return handle(session, event, context)
    except (TransientError, OperationalError, InterfaceError, InternalError):
        raise
    except Exception as error:
        log.exception("event_handler_broke", event_id=event.id if event else None)
        return error


def _end(session: Session, pairs: Sequence[Pair], endings: Sequence[Ending], context: Context) -> None:
    """Most events are over, and are closed in one statement; the others are put off, parked or dead."""
    over: list[tuple[int | None, Outcome]] = []
    for (row, event), ending in zip(pairs, endings, strict=True):
        if isinstance(ending, Exception):
            _put_off_or_die(row, ending)
        elif ending is Outcome.WAIT:
            row.waits_for = read_intent(event).purchase_id(context.deployment) if event else None
            _wait_or_park(row)
        else:
            over.append((row.id, ending))
    values = {"ids": [row_id for row_id, _ in over], "outcomes": [outcome.value for _, outcome in over]}
    session.execute(CLOSE, {**values, "now": context.now})


def _put_off_or_die(row: WebhookEvent, error: Exception) -> None:
    reason = f"{type(error).__name__}: {error}"
    wait = retry.after(retry.HANDLER_ERROR, row.deferrals)
    if wait is None:
        _die(row, reason)
    else:
        work.put_off(row, wait, reason)


def _wait_or_park(row: WebhookEvent) -> None:
    """Ours by its mark, but no row knows its object: whoever made it may be about to write it down, and wakes it."""
    row.outcome = Outcome.WAIT
    reason = "carries our mark, but no purchase knows its object"
    wait = retry.after(retry.EVENT, row.deferrals)
    if wait is None:
        row.state = EventState.PARKED
        work.give_up(row, reason)
    else:
        work.put_off(row, wait, reason)


def _die(row: WebhookEvent, reason: str) -> None:
    row.state = EventState.DEAD
    work.give_up(row, reason)
