"""Mail over SMTP, with bounds on every step; what goes wrong is told by codes, for a server's words may name people."""

import re
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.headerregistry import Address

from billing.notifications.mail import Mail, MailRefusedError, PostUnavailableError
from billing.notifications.server import MailServer

STEP_SECONDS = 10.0
ALL_SECONDS = 40.0
"""A claim is renewed for 60 s: a mail that left has to be noted before that."""
PARTING_SECONDS = 2.0

ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")
"""A status code of RFC 3463 at the beginning of a reply."""
OF_THE_ADDRESS = range(550, 560)
"""Refusals that say something of a mailbox; other 5xx are of commands and of who may send (RFC 5321, 4.2.3)."""


class SmtpPost:
    """A connection for each mail: mails are few, and a server ends idle connections as it likes.

    TLS wherever the server offers it. Where a password is sent it must, and its certificate is verified; without one an
    unverified certificate is still better than none (RFC 7435).
    """

    def __init__(self, server: MailServer) -> None:
        self._server = server

    @property
    def sender(self) -> Address:
        return self._server.sender

    def send(self, mail: Mail) -> None:
        with self._connected() as connection:
            connection.hand_in(self.sender.addr_spec, mail)

    def try_out(self) -> bool:
        """Connect and log in, without a mail; whether the connection is encrypted. Raises PostUnavailableError."""
        with self._connected() as connection:
            return connection.is_encrypted

    @contextmanager
    def _connected(self) -> Iterator["_Connection"]:
        with _in_our_words():
            connection = _Connection(self._server)
            try:
                connection.enter()
                yield connection
            finally:
                connection.leave()


class _Connection:
    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._ends = time.monotonic() + ALL_SECONDS
        self._tls = _context(is_verified=bool(server.user) or server.is_encrypted_at_once)
        self._smtp = self._connect(server)

    def _connect(self, server: MailServer) -> smtplib.SMTP:
        """Named after the sender's domain: the name of this machine would be looked up, and that can take long."""
        name = server.sender.domain
        if server.is_encrypted_at_once:
            return smtplib.SMTP_SSL(server.host, server.port, name, timeout=STEP_SECONDS, context=self._tls)
        return smtplib.SMTP(server.host, server.port, name, timeout=STEP_SECONDS)

    @property
    def is_encrypted(self) -> bool:
        return isinstance(self._smtp.sock, ssl.SSLSocket)

    def enter(self) -> None:
        server = self._server
        self._step().ehlo_or_helo_if_needed()
        if not self.is_encrypted and self._smtp.has_extn("starttls"):
            self._step().starttls(context=self._tls)
            self._step().ehlo()
        if server.user:
            if not self.is_encrypted:
                raise PostUnavailableError("the mail server offers no TLS, and no password is sent in the clear")
            self._step().login(server.user, server.password)

    def hand_in(self, sender: str, mail: Mail) -> None:
        if mail.is_international and not self._smtp.has_extn("smtputf8"):
            raise MailRefusedError("the mail server takes no address beyond ASCII (SMTPUTF8)")
        options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.is_international else []
        _require(250, *self._step().mail(sender, options), "the sender")
        code, reply = self._step().rcpt(mail.recipient)
        if code in OF_THE_ADDRESS:
            raise MailRefusedError(f"the mail server refused the address: {_codes(code, reply)}")
        if code not in (250, 251):
            raise PostUnavailableError(f"the mail server did not take the address: {_codes(code, reply)}")
        code, reply = self._step().data(mail.message.as_bytes())
        if code in OF_THE_ADDRESS:
            raise MailRefusedError(f"the mail server refused the mail: {_codes(code, reply)}")
        _require(250, code, reply, "the mail")

    def leave(self) -> None:
        """Whatever becomes of the parting: what the server took before is taken."""
        with suppress(OSError, smtplib.SMTPException):
            if self._smtp.sock is not None:
                self._smtp.sock.settimeout(PARTING_SECONDS)
                self._smtp.quit()
        self._smtp.close()

    def _step(self) -> smtplib.SMTP:
        """The connection, for one command that ends in time."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise PostUnavailableError(f"the mail server took longer than {ALL_SECONDS:.0f} s for one mail")
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(min(STEP_SECONDS, left))
        return self._smtp


def _context(*, is_verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _require(wanted: int, code: int, reply: bytes, what: str) -> None:
    if code != wanted:
        raise PostUnavailableError(f"the mail server did not take {what}: {_codes(code, reply)}")


def _codes(code: int, reply: bytes | str) -> str:
    found = ENHANCED.match(reply if isinstance(reply, bytes) else reply.encode(errors="replace"))
    return f"{code} {found[0].decode()}" if found else str(code)


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Without the errors themselves, in which a server's words, an address or a user may stand."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        told = f"the mail server does not take user and password: {_codes(error.smtp_code, error.smtp_error)}"
        raise PostUnavailableError(told) from None
    except smtplib.SMTPResponseException as error:
        raise PostUnavailableError(f"the mail server answered {_codes(error.smtp_code, error.smtp_error)}") from None
    except smtplib.SMTPServerDisconnected:
        raise PostUnavailableError("the mail server broke off, or did not answer in time") from None
    except smtplib.SMTPException as error:
        raise PostUnavailableError(f"the mail server cannot be used ({type(error).__name__})") from None
    except ssl.SSLCertVerificationError as error:
        told = f"the mail server's certificate is not trusted: {error.verify_message}"
        raise PostUnavailableError(told) from None
    except OSError as error:
        told = error.strerror or type(error).__name__
        raise PostUnavailableError(f"the mail server cannot be reached: {told}") from None
