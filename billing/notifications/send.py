"""Send one notification: claimed, looked at again, handed to the post with no transaction open, noted as sent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from email.headerregistry import Address
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import text
from sqlmodel import Session

from billing import retry, work
from billing.db import Begin, repeated
from billing.errors import BillingError
from billing.messages import Message, SendNotification
from billing.models import Notification
from billing.notifications import letters
from billing.notifications.mail import Mail, MailRefusedError, PostUnavailableError
from billing.notifications.truth import Told, what_is_true
from billing.states import NotificationState

log = structlog.get_logger(__name__)

MOST_SENDS = 2
"""A worker that is lost after the post took its mail leaves no word. Whoever comes next sends it again, with the same
Message-ID; after that nobody does, and people decide."""

DECIDE = text("""
    UPDATE notification SET state = :state, decided_at = :now, due_at = NULL, hint_at = NULL, lease_until = NULL,
        lease_token = NULL, hints = 0
    WHERE id = :id
""")


class Post(Protocol):
    """Where mail is handed in."""

    @property
    def sender(self) -> Address: ...

    def send(self, mail: Mail) -> None:
        """Hand it in, for good; the same mail may come twice.

        Raises PostUnavailableError where it may be taken later, MailRefusedError where it never will be.
        """


def send_notification(
    begin: Begin, leases: work.Leases, post: Post, message: SendNotification, *, zone: ZoneInfo, now: datetime
) -> Sequence[Message]:
    """Tell a student what was noted, if it is still true; for what was told or skipped it does nothing."""
    claim, told = repeated(begin, lambda session: _take(session, message, leases.terms, now))
    if claim is not None and told is not None:
        with leases.held(claim.token):
            trouble = _hand_in(post, told, claim.row, zone, now)
            repeated(begin, lambda session: _end(session, claim, trouble, now))
    return []


def _take(
    session: Session, message: SendNotification, terms: work.LeaseTerms, now: datetime
) -> tuple[work.Claim[Notification] | None, Told | None]:
    """A claim, and what is to be told; without that the row is at its end already."""
    claim = work.claim(session, Notification, message.notification_id, terms)
    if claim is None:
        return None, None
    if work.is_worn_out(claim.row, replace(terms, lost_claims=min(terms.lost_claims, MOST_SENDS))):
        work.give_up(claim.row, claim.row.last_error or "lost by every worker that had it; it may have been sent")
        return claim, None
    told = what_is_true(session, claim.row, now=now)
    if told is None:
        _decide(session, claim.row, NotificationState.SKIPPED, now)
    return claim, told


def _hand_in(post: Post, told: Told, noted: Notification, zone: ZoneInfo, now: datetime) -> BillingError | None:
    """What kept the mail from leaving, None where it left."""
    try:
        post.send(letters.write(told, noted.id, sender=post.sender, zone=zone, now=now))
    except (PostUnavailableError, MailRefusedError) as error:
        return error
    return None


def _end(session: Session, claim: work.Claim[Notification], trouble: BillingError | None, now: datetime) -> None:
    (row,) = work.resume(session, claim)
    if trouble is None:
        _decide(session, row, NotificationState.SENT, now)
        return
    wait = retry.after(retry.MAIL, row.deferrals) if isinstance(trouble, PostUnavailableError) else None
    if wait is None:
        work.give_up(row, str(trouble))
    else:
        work.put_off(row, wait, str(trouble))
    log.warning("mail_not_sent", notification_id=str(row.id), reason=str(trouble), is_given_up=wait is None)


def _decide(session: Session, row: Notification, state: NotificationState, now: datetime) -> None:
    session.execute(DECIDE, {"state": state.value, "now": now, "id": row.id})
    log.info("notification_decided", notification_id=str(row.id), topic=row.topic.value, state=state.value)
