"""What students are to be told, as rows, and a post that keeps what it is given."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from email.headerregistry import Address
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel import col, select

from billing.db import Begin
from billing.messages import SendNotification
from billing.models import Notification
from billing.notifications.mail import Mail
from billing.notifications.send import send_notification
from billing.notifications.warn import note_low_balances
from billing.states import NotificationState
from tests.support.leases import UnrenewedLeases

ZONE = ZoneInfo("Europe/Lisbon")


class KeptPost:
    """Takes every mail, except where an error is to be raised next."""

    sender = Address("Billing", "billing", "example.com")

    def __init__(self, *errors: Exception) -> None:
        self.mails: list[Mail] = []
        self.errors = deque(errors)
        self.on_mail: Callable[[], None] = lambda: None

    def send(self, mail: Mail) -> None:
        if self.errors:
            raise self.errors.popleft()
        self.mails.append(mail)
        self.on_mail()

    @property
    def subjects(self) -> list[str]:
        return [mail.message["Subject"] for mail in self.mails]


def notes(begin: Begin) -> Sequence[Notification]:
    """All that was noted, in the order of topics and facts."""
    with begin() as session:
        order = (col(Notification.topic), col(Notification.subject), col(Notification.student_id))
        return session.exec(select(Notification).order_by(*order)).all()


def topics(begin: Begin) -> list[str]:
    return [note.topic.value for note in notes(begin)]


def states(begin: Begin) -> list[NotificationState]:
    return [note.state for note in notes(begin)]


def note_low(begin: Begin, *students: int, now: datetime) -> list[UUID]:
    with begin() as session:
        messages = note_low_balances(session, students, now=now)
    return [message.notification_id for message in messages if isinstance(message, SendNotification)]


def send_all(begin: Begin, post: KeptPost, *, now: datetime) -> None:
    """As workers do for each that waits; those that were put off are due again at once."""
    run(
        begin,
        "UPDATE notification SET due_at = clock_timestamp(), hint_at = clock_timestamp() WHERE due_at IS NOT NULL",
    )
    for note in notes(begin):
        send_one(begin, post, note.id, now=now)


def send_one(begin: Begin, post: KeptPost, notification_id: UUID, *, now: datetime) -> None:
    message = SendNotification(notification_id=notification_id)
    send_notification(begin, UnrenewedLeases(), post, message, zone=ZONE, now=now)


def run(begin: Begin, statement: str, **values: object) -> None:
    with begin() as session:
        session.execute(text(statement), values)


def extend(begin: Begin, lot: int, until: datetime | None) -> None:
    run(begin, "UPDATE hour_lot SET expires_at = :until WHERE id = :lot", lot=lot, until=until)


def opt_out(begin: Begin, student_id: int) -> None:
    run(begin, "UPDATE student SET is_warned = false WHERE id = :id", id=student_id)
