"""MAIL_URL: which server takes our mail, as whom, and who is its sender.

`smtp://user:password@host:587/?from=Hours%20%3Cbilling@example.com%3E`; with `smtps` TLS comes before the first word.
"""

import re
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

PORTS = {"smtp": 587, "smtps": 465}
"""Submission, and submission over TLS (RFC 8314, 3.3)."""

NOBODY_ELSE = Address("Billing", "billing", "localhost")
"""Who sends where nothing says it: mail that stays in files."""

NAME_OF_HOST = re.compile(r"(?=.*[a-z])[a-z0-9-]+(\.[a-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class MailServer:
    """`user` and `password` are both empty where the server is to take mail from us as it is."""

    host: str
    port: int
    is_encrypted_at_once: bool
    user: str
    password: str = field(repr=False)
    sender: Address
    is_sender_named: bool
    """Whether the URL says who the sender is, or it was guessed from the host."""

    @classmethod
    def of(cls, url: str) -> "MailServer":
        """Raises ValueError with a complaint and the mend, neither of which shows anything of the URL."""
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (user + password).isascii() or bool(user) != bool(password):
            raise ValueError("user and password are not both there, in ASCII; write smtp://user:password@host/")
        host = parts.hostname or ""
        named = _query(parts).get("from") or (user if "@" in user else "")
        return cls(
            host=host,
            port=parts.port or PORTS[parts.scheme],
            is_encrypted_at_once=parts.scheme == "smtps",
            user=user,
            password=password,
            sender=_address(named) if named else _guessed(host),
            is_sender_named=bool(named),
        )


def _query(parts: SplitResult) -> dict[str, str]:
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    if set(found) - {"from"} or parts.path not in ("", "/"):
        raise ValueError("has something after the host that means nothing; write smtp://host:587/?from=ana@example.com")
    return found


def _address(given: str) -> Address:
    """Of `ana@example.com` or `Ana <ana@example.com>`."""
    name, spec = parseaddr(given)
    try:
        found = Address(name, addr_spec=spec)
    except (HeaderParseError, ValueError, IndexError):
        found = Address()
    if not (found.username and found.domain and spec.isascii() and given.isprintable()):
        raise ValueError("the sender is no address in ASCII; write ?from=billing@example.com")
    return found


def _guessed(host: str) -> Address:
    return Address("Billing", "billing", host) if NAME_OF_HOST.fullmatch(host) else NOBODY_ELSE
