"""The two ways in which mail leaves: over SMTP, or as a file in the outbox folder."""

from billing.config import Settings
from billing.errors import ConfigurationError
from billing.notifications.outbox import OutboxFolder
from billing.notifications.send import Post
from billing.notifications.server import MailServer
from billing.notifications.smtp import SmtpPost

OUTBOX = "outbox"
"""Under the state folder."""


def post_of(settings: Settings) -> Post:
    """Raises ConfigurationError where MAIL_URL says no server and sender."""
    if settings.mail_url is None:
        return OutboxFolder(settings.state_dir / OUTBOX)
    return SmtpPost(server_of(settings.mail_url))


def server_of(mail_url: str) -> MailServer:
    try:
        return MailServer.of(mail_url)
    except ValueError as error:
        raise ConfigurationError([f"MAIL_URL: {error}"]) from None
