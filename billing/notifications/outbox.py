"""Mail as files: for a machine that has no mail server, and for looking at what would be sent."""

import os
import tempfile
from email.headerregistry import Address
from pathlib import Path

from billing.notifications.mail import Mail, PostUnavailableError
from billing.notifications.server import NOBODY_ELSE


class OutboxFolder:
    """One file `<notification id>.eml` for each mail; the same mail again takes its place. Only we can read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def sender(self) -> Address:
        return NOBODY_ELSE

    def send(self, mail: Mail) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(mail)
        except OSError as error:
            raise PostUnavailableError(f"the outbox folder cannot be written: {error.strerror}") from None

    def _write(self, mail: Mail) -> None:
        """Whole or not at all, and on the disk before anybody says that it was sent."""
        descriptor, name = tempfile.mkstemp(suffix=".part", dir=self._folder)  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(mail.message.as_bytes())
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._folder / f"{mail.id}.eml")
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
