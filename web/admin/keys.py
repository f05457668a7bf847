"""Keys of the admin from SECRET_KEY: one for each purpose, so that what is signed for one counts for no other."""

import hashlib
import hmac

from billing.config import Settings


def keys_for(settings: Settings, purpose: str) -> list[str]:
    """The oldest first, as itsdangerous wants them: the last one signs, each of them is believed."""
    return [
        hmac.new(key.encode(), purpose.encode(), hashlib.sha256).hexdigest() for key in reversed(settings.secret_key)
    ]
