"""A mail that is ready to leave, and the two ways in which it may not."""

from dataclasses import dataclass
from email.message import EmailMessage
from uuid import UUID

from billing.errors import PermanentError, TransientError


@dataclass(frozen=True, slots=True)
class Mail:
    """`recipient` is the address of the envelope; one that is not ASCII needs a server with SMTPUTF8 (RFC 6531)."""

    id: UUID
    recipient: str
    message: EmailMessage

    @property
    def is_international(self) -> bool:
        return not self.recipient.isascii()


class PostUnavailableError(TransientError):
    """The post did not take a mail, for a reason that is not of this mail; no address is in the words."""


class MailRefusedError(PermanentError):
    """The post will never take this mail, above all because of its address, which is not in the words."""
