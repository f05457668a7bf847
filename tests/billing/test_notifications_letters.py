"""What a student reads: the same in both forms, in his own day, and with nothing smuggled in."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest

from billing.ids import new_id
from billing.notifications.letters import TEMPLATES, write
from billing.notifications.mail import Mail, MailRefusedError
from billing.notifications.server import MailServer
from billing.notifications.truth import Told
from billing.states import NotificationKind
from tests.conftest import NOON

SENDER = Address("Hours", "billing", "example.com")
LISBON = ZoneInfo("Europe/Lisbon")
MIDNIGHT = datetime(2026, 3, 8, tzinfo=UTC)


def told(**changes: object) -> Told:
    facts = {"name": "Ana", "email": "ana@example.com", "minutes": 150, "plan_name": "Standard", "expires_at": MIDNIGHT}
    return Told(**{"topic": NotificationKind.EXPIRES_IN_A_WEEK, **facts, **changes})  # type: ignore[arg-type]


def letter(what: Told, *, zone: ZoneInfo = LISBON, now: datetime = NOON) -> Mail:
    return write(what, new_id(), sender=SENDER, zone=zone, now=now)


def arrived(mail: Mail) -> EmailMessage:
    """As whoever gets it reads it."""
    return message_from_bytes(mail.message.as_bytes(), policy=policy.default)


def text_of(mail: Mail, form: str = "plain") -> str:
    body = arrived(mail).get_body((form,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_it_says_how_much_of_what_until_when() -> None:
    mail = letter(told())
    assert arrived(mail)["Subject"] == "2.50 hours can be used until 7 March 2026 (in 5 days)"
    said = text_of(mail)
    assert said.startswith("Hello Ana,\n\n")
    assert "2.50 hours of your package Standard can be used until the end of Saturday, 7 March 2026" in said
    assert "that is in 5 days." in said


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (datetime(2026, 3, 7, 23, 59, tzinfo=UTC), "today"),
        (datetime(2026, 3, 7, 0, 0, tzinfo=UTC), "today"),
        (datetime(2026, 3, 6, 23, 59, tzinfo=UTC), "tomorrow"),
        (datetime(2026, 3, 5, 23, 59, tzinfo=UTC), "in 2 days"),
    ],
)
def test_days_are_counted_by_the_calendar(now: datetime, words: str) -> None:
    assert f"({words})" in letter(told(), now=now).message["Subject"]


@pytest.mark.parametrize(
    ("zone", "end"),
    [
        ("Europe/Lisbon", "the end of Saturday, 28 March 2026"),
        ("America/New_York", "20:00 on Saturday, 28 March 2026"),
        ("Asia/Tokyo", "09:00 on Sunday, 29 March 2026"),
    ],
)
def test_the_day_is_the_one_of_the_business(zone: str, end: str) -> None:
    """The night of 29 March 2026 has a change of clocks in Lisbon."""
    mail = letter(told(expires_at=datetime(2026, 3, 29, tzinfo=UTC)), zone=ZoneInfo(zone))
    assert f"until {end}: that is" in text_of(mail)


def test_a_day_that_begins_at_one_ends_the_day_before() -> None:
    """Where a change of clocks leaves midnight out."""
    zone = ZoneInfo("America/Santiago")
    first = datetime(2026, 9, 6, 4, tzinfo=UTC)
    assert first.astimezone(zone).hour == 1
    assert "until the end of Saturday, 5 September 2026" in text_of(letter(told(expires_at=first), zone=zone))


@pytest.mark.parametrize("topic", NotificationKind)
def test_each_topic_has_words_in_both_forms(topic: NotificationKind) -> None:
    mail = letter(told(topic=topic))
    plain, html = text_of(mail), text_of(mail, "html")
    assert topic in TEMPLATES
    assert "$" not in plain + html
    assert [line for line in plain.split("\n\n") if line.strip() not in html] == []


def test_names_of_any_script_arrive_as_they_are() -> None:
    mail = letter(told(name="Zoë Ñandú 李小龙 <b>", plan_name="Pack & más"))
    assert arrived(mail)["To"].addresses[0].display_name == "Zoë Ñandú 李小龙 <b>"
    assert "Hello Zoë Ñandú 李小龙 <b>," in text_of(mail)
    assert "Hello Zoë Ñandú 李小龙 &lt;b&gt;," in text_of(mail, "html")
    assert "Pack &amp; más" in text_of(mail, "html")
    assert mail.message.as_bytes().isascii()


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\x00", "\x0b"])
def test_no_name_can_add_a_header(end: str) -> None:
    """A name is whatever a caller typed."""
    mail = letter(told(name=f"Ana{end}Bcc: eve@example.com{end}{end}Hi", plan_name=f"x{end}.{end}y"))
    found = arrived(mail)
    assert found["Bcc"] is None
    assert found["To"].addresses[0].display_name == "Ana Bcc: eve@example.com Hi"
    assert [address.addr_spec for address in found["To"].addresses] == ["ana@example.com"]


def test_a_very_long_name_still_makes_a_mail() -> None:
    body = letter(told(name="Ж" * 150)).message.as_bytes()
    assert max(len(line) for line in body.splitlines()) <= 998
    assert str(make_header(decode_header(message_from_bytes(body)["To"]))) == f"{'Ж' * 150} <ana@example.com>"


def test_who_has_no_name_is_greeted_anyway() -> None:
    assert text_of(letter(told(name=" "))).startswith("Hello,\n")


def test_it_is_known_as_automatic_and_can_be_stopped() -> None:
    """No out-of-office answers it; a program can recognise a copy, and offer to stop it."""
    notification = new_id()
    message = write(told(), notification, sender=SENDER, zone=LISBON, now=NOON).message
    assert message["From"] == "Hours <billing@example.com>"
    assert message["Message-ID"] == f"<{notification}@example.com>"
    assert message["Date"].datetime == NOON
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"].startswith("<mailto:billing@example.com?subject=")
    assert message["List-Id"] == "About your hours <hours.example.com>"


def test_an_international_domain_is_written_as_the_name_service_knows_it() -> None:
    mail = letter(told(email="ana@straße.example"))
    assert mail.recipient == "ana@xn--strae-oqa.example"
    assert not mail.is_international


def test_an_address_beyond_ascii_stays_as_it_is() -> None:
    mail = letter(told(email="josé@example.com"))
    assert mail.is_international
    assert "josé@example.com".encode() in mail.message.as_bytes()


@pytest.mark.parametrize("email", ["ana", "ana@", "ana@b\r\nBcc: eve@example.com", "ana, eve@example.com", ""])
def test_what_is_no_address_gets_no_mail(email: str) -> None:
    with pytest.raises(MailRefusedError):
        letter(told(email=email))


@pytest.mark.parametrize(
    ("url", "sender", "is_named"),
    [
        ("smtp://mail.example.com", "Billing <billing@mail.example.com>", False),
        ("smtp://127.0.0.1:2525/", "Billing <billing@localhost>", False),
        ("smtp://mail", "Billing <billing@localhost>", False),
        ("smtps://me%40example.com:p%40ss@mail.example.com", "me@example.com", True),
        ("smtp://mail/?from=billing@example.com", "billing@example.com", True),
        ("smtp://u:p@mail/?from=Our%20Hours%20%3Cb@example.com%3E", "Our Hours <b@example.com>", True),
    ],
)
def test_the_sender_is_in_the_address_of_the_server(url: str, sender: str, is_named: bool) -> None:
    server = MailServer.of(url)
    assert (str(server.sender), server.is_sender_named) == (sender, is_named)


def test_the_address_of_the_server_has_the_rest_too() -> None:
    server = MailServer.of("smtps://me%40example.com:p%40ss@mail.example.com")
    assert (server.host, server.port, server.is_encrypted_at_once) == ("mail.example.com", 465, True)
    assert (server.user, server.password) == ("me@example.com", "p@ss")
    assert MailServer.of("smtp://mail").port == 587
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://canary@mail",
        "smtp://:canary@mail",
        "smtp://us%C3%A9r:canary@mail",
        "smtp://mail/?form=canary@example.com",
        "smtp://mail/canary",
        "smtp://mail/?from=canary",
        "smtp://mail/?from=c%C3%A4nary@example.com",
        "smtp://mail/?from=canary@",
        "smtp://mail/?from=Ana%0D%0ABcc:%20x%20%3Ccanary@example.com%3E",
    ],
)
def test_a_wrong_address_of_the_server_is_told_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match="; write ") as found:
        MailServer.of(url)
    assert "canary" not in str(found.value)


def test_an_hour_before_the_end_it_is_still_today() -> None:
    soon = told(expires_at=NOON + timedelta(hours=1))
    assert "until 13:00 on Monday, 2 March 2026: that is today." in text_of(letter(soon))
