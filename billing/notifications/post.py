"""The two ways in which mail leaves: over SMTP, or as a file in the outbox folder."""

from billing.config import Settings
from billing.notifications.send import Post


def post_of(settings: Settings) -> Post:
    raise NotImplementedError
