"""A mail server for tests, which speaks SMTP over a real socket and can refuse, break off or encrypt as it is told."""

import asyncio
import base64
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class MailServerOfTests:
    """`refusals` are answered in turn to the commands they name, such as `("RCPT", "550 5.1.1 nobody")`."""

    port: int = 0
    certificate: Path | None = None
    is_encrypted_at_once: bool = False
    takes_international: bool = True
    refusals: deque[tuple[str, str]] = field(default_factory=deque)
    silent_at: str | None = None
    """A command that is never answered: the line breaks off."""
    is_broken_off_after_mail: bool = False
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    were_encrypted: list[bool] = field(default_factory=list)
    on_mail: Callable[[], None] = lambda: None

    def url(self, login: str = "", query: str = "?from=billing@example.com") -> str:
        scheme = "smtps" if self.is_encrypted_at_once else "smtp"
        return f"{scheme}://{login}localhost:{self.port}/{query}"


class _Talk:
    def __init__(self, server: MailServerOfTests, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    @property
    def is_encrypted(self) -> bool:
        return self.writer.get_extra_info("sslcontext") is not None

    async def run(self) -> None:
        await self.say("220 mail.example.com ESMTP")
        while line := await self.reader.readline():
            command = line.decode().strip()
            verb = command.split(":", maxsplit=1)[0].split(" ")[0].upper()
            if verb == self.server.silent_at:
                return
            if self.server.refusals and self.server.refusals[0][0] == verb:
                await self.say(self.server.refusals.popleft()[1])
            elif not await self.answer(verb, command):
                return

    async def answer(self, verb: str, command: str) -> bool:
        if verb == "EHLO":
            await self.say(*self.extensions())
        elif verb == "STARTTLS":
            await self.say("220 go on")
            await self.writer.start_tls(_server_context(self.server.certificate))
        elif verb == "AUTH":
            self.server.logins.append(base64.b64decode(command.split(" ")[2]).decode().replace("\0", " ").strip())
            await self.say("235 2.7.0 welcome")
        elif verb == "RCPT":
            self.server.recipients.append(command.partition("<")[2].partition(">")[0])
            await self.say("250 2.1.5 fine")
        elif verb == "DATA":
            return await self.take_mail()
        else:
            await self.say("221 bye" if verb == "QUIT" else "250 fine")
        return verb != "QUIT"

    def extensions(self) -> list[str]:
        found = ["mail.example.com", "8BITMIME"]
        found += ["SMTPUTF8"] if self.server.takes_international else []
        can_start = self.server.certificate is not None and not self.is_encrypted
        found += ["STARTTLS"] if can_start else []
        found += ["AUTH PLAIN"] if self.is_encrypted or self.server.certificate is None else []
        return [f"250-{one}" for one in found[:-1]] + [f"250 {found[-1]}"]

    async def take_mail(self) -> bool:
        await self.say("354 go on")
        body = await self.reader.readuntil(b"\r\n.\r\n")
        if self.server.refusals and self.server.refusals[0][0] == ".":
            await self.say(self.server.refusals.popleft()[1])
            return True
        self.server.mails.append(message_from_bytes(body[:-3].replace(b"\r\n..", b"\r\n."), policy=policy.default))
        self.server.were_encrypted.append(self.is_encrypted)
        self.server.on_mail()
        await self.say("250 2.0.0 taken")
        return not self.server.is_broken_off_after_mail

    async def say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()


async def _serve(server: MailServerOfTests, ready: threading.Event, ends: asyncio.Event) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await _Talk(server, reader, writer).run()
        writer.close()

    context = _server_context(server.certificate) if server.is_encrypted_at_once else None
    async with await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        await ends.wait()


@contextmanager
def running_mail_server(
    certificate: Path | None = None, *, is_encrypted_at_once: bool = False
) -> Iterator[MailServerOfTests]:
    """Offers STARTTLS where it has a certificate."""
    server = MailServerOfTests(certificate=certificate, is_encrypted_at_once=is_encrypted_at_once)
    ready, loop, ends = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_serve(server, ready, ends)), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join(10)
        loop.close()


def _server_context(certificate: Path | None) -> ssl.SSLContext:
    assert certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def write_certificate(path: Path) -> Path:
    """A certificate for localhost that vouches for itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    kept = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, *kept)
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
