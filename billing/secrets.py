"""What is derived from SECRET_KEY: encrypted columns and the tokens by which guests follow a purchase.

Several keys may be configured: the first makes, all of them read, so that a key can be changed while running.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from billing.errors import PermanentError


class UnreadableSecretError(PermanentError):
    """An encrypted column was written with a key that is no longer configured."""


def _derived(key: str, purpose: str) -> bytes:
    """A key of its own for each purpose (HMAC as a key derivation, RFC 5869 without the salt)."""
    return hmac.digest(key.encode(), purpose.encode(), hashlib.sha256)


class Vault:
    def __init__(self, keys: Sequence[str]) -> None:
        boxes = [Fernet(base64.urlsafe_b64encode(_derived(key, "columns"))) for key in keys]
        self._columns = MultiFernet(boxes)
        self._tokens = [_derived(key, "access tokens") for key in keys]

    def seal(self, text: str) -> bytes:
        return self._columns.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """Raises UnreadableSecretError where no configured key fits."""
        try:
            return self._columns.decrypt(sealed).decode()
        except InvalidToken:
            raise UnreadableSecretError("no configured SECRET_KEY reads this column") from None

    def access_token(self, purchase_id: UUID) -> str:
        return _token(self._tokens[0], purchase_id)

    def is_access_token(self, purchase_id: UUID, token: str) -> bool:
        """Compared in constant time, against every key."""
        given = token.encode(errors="replace")
        matches = [hmac.compare_digest(_token(key, purchase_id).encode(), given) for key in self._tokens]
        return any(matches)


def _token(key: bytes, purchase_id: UUID) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, purchase_id.bytes, hashlib.sha256)).rstrip(b"=").decode()
