"""From what is true to a mail: plain text, and the same as HTML.

A template is a `Subject:` line, an empty line, and paragraphs with empty lines between them. Both forms are made of it,
so they cannot say different things.
"""

import html
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from email_validator import EmailNotValidError, validate_email

from billing.notifications.mail import Mail, MailRefusedError
from billing.notifications.truth import Told
from billing.reads.written import hours
from billing.states import NotificationKind

POLICY: Final = SMTP.clone(cte_type="7bit")
"""Bodies that any server may hand on: not every one takes eight bits (RFC 6152)."""

_N = NotificationKind
TEMPLATES = {
    _N.EXPIRES_IN_A_WEEK: "expires.txt",
    _N.EXPIRES_IN_DAYS: "expires.txt",
    _N.EXPIRES_TOMORROW: "expires.txt",
    _N.EXPIRED: "expired.txt",
    _N.LOW_BALANCE: "low_balance.txt",
    _N.EMPTY_BALANCE: "empty_balance.txt",
}

Words = dict[str, str]


def write(told: Told, notification_id: UUID, *, sender: Address, zone: ZoneInfo, now: datetime) -> Mail:
    """The same notification gives the same Message-ID, so that who gets it twice can tell.

    Raises MailRefusedError where no mail can be addressed to the student.
    """
    recipient = _recipient(told)
    is_international = not recipient.addr_spec.isascii()
    message = EmailMessage(POLICY.clone(utf8=is_international))
    subject, paragraphs = _texts(TEMPLATES[told.topic], _words(told, zone, now))
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{notification_id}@{sender.domain}>"
    for name, value in _of_automatic_mail(sender).items():
        message[name] = value
    message.set_content("\n\n".join(paragraphs) + "\n")
    message.add_alternative(_as_html(subject, paragraphs), subtype="html")
    return Mail(notification_id, recipient.addr_spec, message)


def _recipient(told: Told) -> Address:
    """The domain in ASCII, as the name service knows it; the part before it as it is."""
    try:
        found = validate_email(
            told.email, check_deliverability=False, globally_deliverable=False, test_environment=True
        )
    except EmailNotValidError:
        raise MailRefusedError("no mail can be sent to what the student gave as an address") from None
    return Address(_on_one_line(told.name), found.local_part, found.ascii_domain)


def _of_automatic_mail(sender: Address) -> Words:
    """Nobody's out-of-office answers it (RFC 3834), and a program can offer to stop it (RFC 2369, RFC 2919)."""
    stop = f"mailto:{quote(sender.addr_spec, safe='@')}?subject=No%20more%20of%20these"
    return {
        "Auto-Submitted": "auto-generated",
        "List-Id": f"About your hours <hours.{sender.domain}>",
        "List-Unsubscribe": f"<{stop}>",
    }


def _words(told: Told, zone: ZoneInfo, now: datetime) -> Words:
    name = _on_one_line(told.name)
    words = {"greeting": f"Hello {name}," if name else "Hello,", "hours": hours(told.minutes)}
    if told.expires_at is not None:
        words |= {"plan": _on_one_line(told.plan_name), **_end_in_words(told.expires_at, zone, now)}
    return words


def _end_in_words(expires_at: datetime, zone: ZoneInfo, now: datetime) -> Words:
    """`expires_at` is the first instant that is too late; people are told of the last day that is not."""
    last = (expires_at - timedelta(microseconds=1)).astimezone(zone)
    end = expires_at.astimezone(zone)
    day = f"{last:%A}, {last.day} {last:%B} {last.year}"
    is_whole_day = end.date() != last.date()
    return {
        "day": f"{last.day} {last:%B} {last.year}",
        "end": f"the end of {day}" if is_whole_day else f"{end:%H:%M} on {day}",
        "when": _days_in_words((last.date() - now.astimezone(zone).date()).days),
    }


def _days_in_words(days: int) -> str:
    return {0: "today", 1: "tomorrow"}.get(days, f"in {days} days")


def _on_one_line(text: str) -> str:
    """A name cannot end a header, nor hide what follows it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _texts(template: str, words: Words) -> tuple[str, list[str]]:
    head, *paragraphs = _template(template).substitute(words).strip().split("\n\n")
    return head.removeprefix("Subject: "), [paragraph.strip() for paragraph in paragraphs]


def _as_html(subject: str, paragraphs: list[str]) -> str:
    written = "\n".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs)
    return _template("layout.html").substitute(subject=html.escape(subject), paragraphs=written)


@cache
def _template(name: str) -> Template:
    return Template((files("billing.notifications") / "templates" / name).read_text(encoding="utf-8"))
