"""Mail leaves to a real server, or becomes a file; each trouble is told for what it is, and names nobody."""

import os
import socket
import stat
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID

import pytest

from billing.config import Settings
from billing.errors import ConfigurationError
from billing.ids import new_id
from billing.local.ports import free_port
from billing.notifications import smtp
from billing.notifications.letters import write
from billing.notifications.mail import Mail, MailRefusedError, PostUnavailableError
from billing.notifications.outbox import OutboxFolder
from billing.notifications.post import post_of
from billing.notifications.server import MailServer
from billing.notifications.smtp import SmtpPost
from billing.notifications.truth import Told
from billing.states import NotificationKind
from tests.conftest import NOON
from tests.support.environment import make_settings
from tests.support.mail import MailServerOfTests, running_mail_server, write_certificate
from tests.support.notes import ZONE

LOGIN = "user:canary@"


@pytest.fixture
def server() -> Iterator[MailServerOfTests]:
    with running_mail_server() as running:
        yield running


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_certificate(tmp_path / "server.pem")


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if a public authority had signed it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


def mail_to(email: str = "ana@example.com", notification_id: UUID | None = None) -> Mail:
    told = Told(NotificationKind.EMPTY_BALANCE, "Zoë", email, 0)
    sender = MailServer.of("smtp://mail/?from=billing@example.com").sender
    return write(told, notification_id or new_id(), sender=sender, zone=ZONE, now=NOON)


def send(server: MailServerOfTests, mail: Mail | None = None, login: str = "") -> None:
    SmtpPost(MailServer.of(server.url(login))).send(mail or mail_to())


def test_a_mail_arrives_as_it_was_written(server: MailServerOfTests) -> None:
    mail = mail_to()
    send(server, mail)
    (taken,) = server.mails
    assert server.recipients == ["ana@example.com"]
    assert taken["Message-ID"] == mail.message["Message-ID"]
    assert taken["To"].addresses[0].display_name == "Zoë"
    body = taken.get_body(("plain",))
    assert body is not None
    assert "You have no hours left" in body.get_content()


@pytest.mark.parametrize("at", ["EHLO", "MAIL", "RCPT", "DATA", "."])
def test_what_a_server_puts_off_it_may_take_later(server: MailServerOfTests, at: str) -> None:
    """Greylisting answers 450 to everybody's first try."""
    server.refusals.append((at, "450 4.2.0 Zoë ana@example.com is greylisted"))
    if at == "EHLO":
        server.refusals.append(("HELO", "450 4.2.0 not now"))
    with pytest.raises(PostUnavailableError, match=r"450 4\.2\.0"):
        send(server)
    send(server)
    assert len(server.mails) == 1


@pytest.mark.parametrize("at", ["RCPT", "."])
def test_a_refused_address_or_mail_is_never_taken(server: MailServerOfTests, at: str) -> None:
    server.refusals.append((at, "550 5.1.1 <ana@example.com> Zoë does not live here"))
    with pytest.raises(MailRefusedError, match=r"550 5\.1\.1$") as found:
        send(server)
    assert "ana" not in str(found.value)


@pytest.mark.parametrize(
    ("at", "answer"), [("RCPT", "530 5.7.0 log in first"), ("MAIL", "550 5.7.1 no sender of ours")]
)
def test_a_refusal_of_who_sends_is_not_of_the_address(server: MailServerOfTests, at: str, answer: str) -> None:
    """A wrong setting must not turn every student's mail into a dead letter at once."""
    server.refusals.append((at, answer))
    with pytest.raises(PostUnavailableError):
        send(server)


@pytest.mark.parametrize("at", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_a_line_that_breaks_off_is_tried_later(server: MailServerOfTests, at: str) -> None:
    server.silent_at = at
    with pytest.raises(PostUnavailableError):
        send(server)


def test_what_was_taken_is_taken_whatever_becomes_of_the_parting(server: MailServerOfTests) -> None:
    """Or the student would get it again."""
    server.is_broken_off_after_mail = True
    send(server)
    assert len(server.mails) == 1


def test_a_server_that_is_not_there_is_tried_later() -> None:
    post = SmtpPost(MailServer.of(f"smtp://127.0.0.1:{free_port()}/?from=billing@example.com"))
    with pytest.raises(PostUnavailableError, match="cannot be reached"):
        post.send(mail_to())


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "STEP_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        post = SmtpPost(MailServer.of(f"smtp://127.0.0.1:{silent.getsockname()[1]}/?from=billing@example.com"))
        with pytest.raises(PostUnavailableError, match="did not answer in time"):
            post.send(mail_to())


def test_one_mail_has_a_bound_over_all_steps(server: MailServerOfTests, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim is not renewed for ever: whoever is slower would send what others send too."""
    monkeypatch.setattr(smtp, "ALL_SECONDS", 0.0)
    with pytest.raises(PostUnavailableError, match="took longer"):
        send(server)


def test_tls_is_used_where_it_is_offered(certificate: Path) -> None:
    """Without a password even a certificate that nobody knows is better than the clear."""
    with running_mail_server(certificate) as server:
        send(server)
        assert server.were_encrypted == [True]


@pytest.mark.parametrize("is_encrypted_at_once", [False, True])
def test_a_password_is_sent_over_tls(trusted: Path, is_encrypted_at_once: bool) -> None:
    with running_mail_server(trusted, is_encrypted_at_once=is_encrypted_at_once) as server:
        send(server, login=LOGIN)
        assert server.logins == ["user canary"]
        assert server.were_encrypted == [True]


@pytest.mark.parametrize("is_encrypted_at_once", [False, True])
def test_no_password_is_sent_to_a_certificate_that_nobody_vouches_for(
    certificate: Path, is_encrypted_at_once: bool
) -> None:
    with running_mail_server(certificate, is_encrypted_at_once=is_encrypted_at_once) as server:
        with pytest.raises(PostUnavailableError, match="not trusted"):
            send(server, login=LOGIN)
        assert (server.logins, server.mails) == ([], [])


def test_no_password_is_sent_in_the_clear(server: MailServerOfTests) -> None:
    with pytest.raises(PostUnavailableError, match="no TLS"):
        send(server, login=LOGIN)
    assert (server.logins, server.mails) == ([], [])


def test_a_wrong_password_is_told_without_it(trusted: Path) -> None:
    with running_mail_server(trusted) as server:
        server.refusals.extend([("AUTH", "535 5.7.8 user canary is wrong")] * 3)
        with pytest.raises(PostUnavailableError, match="535") as found:
            send(server, login=LOGIN)
    assert "canary" not in str(found.value)
    assert found.value.__cause__ is None


def test_an_address_beyond_ascii_needs_a_server_that_takes_it(server: MailServerOfTests) -> None:
    send(server, mail_to("josé@example.com"))
    assert server.recipients == ["josé@example.com"]
    server.takes_international = False
    with pytest.raises(MailRefusedError, match="SMTPUTF8"):
        send(server, mail_to("josé@example.com"))


def test_without_a_server_mail_becomes_a_file_that_only_we_read(settings: Settings) -> None:
    post, notification_id = post_of(settings), new_id()
    old = os.umask(0)
    try:
        post.send(mail_to(notification_id=notification_id))
    finally:
        os.umask(old)
    folder = settings.state_dir / "outbox"
    (file,) = folder.iterdir()
    assert file.name == f"{notification_id}.eml"
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
    assert message_from_bytes(file.read_bytes(), policy=policy.default)["Subject"] == "No hours are left"


def test_the_same_mail_again_is_the_same_file(tmp_path: Path) -> None:
    post, mail = OutboxFolder(tmp_path / "outbox"), mail_to()
    post.send(mail)
    post.send(mail)
    assert [file.name for file in (tmp_path / "outbox").iterdir()] == [f"{mail.id}.eml"]


def test_a_folder_that_cannot_be_written_is_tried_later(tmp_path: Path) -> None:
    (tmp_path / "outbox").touch()
    with pytest.raises(PostUnavailableError, match="outbox folder"):
        OutboxFolder(tmp_path / "outbox").send(mail_to())


def test_the_setting_decides_where_mail_goes(settings: Settings, server: MailServerOfTests) -> None:
    given = (settings.database_url, settings.redis_url)
    post_of(make_settings(*given, MAIL_URL=server.url())).send(mail_to())
    assert len(server.mails) == 1


def test_a_sender_that_is_none_is_told_with_the_settings_name(settings: Settings) -> None:
    given = (settings.database_url, settings.redis_url)
    with pytest.raises(ConfigurationError, match="MAIL_URL: "):
        post_of(make_settings(*given, MAIL_URL="smtp://mail/?from=nobody"))
