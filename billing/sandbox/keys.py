"""Who calls: the owner with the secret key, or a browser with the publishable one.

Page: "Authentication" of Stripe's API reference.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Literal

from billing.sandbox.errors import ApiError

Caller = Literal["secret", "publishable"]


@dataclass(frozen=True)
class Keys:
    secret: str
    publishable: str

    def caller(self, authorization: str | None) -> Caller:
        key = _key(authorization or "")
        if not key:
            raise _refused(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
                "https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/."
            )
        if _same(key, self.secret):
            return "secret"
        if _same(key, self.publishable):
            return "publishable"
        raise _refused(f"Invalid API Key provided: {_masked(key)}")


def secret_key_required() -> ApiError:
    return _refused(
        "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of "
        "your API keys at https://dashboard.stripe.com/account/apikeys.",
        code="secret_key_required",
    )


def _key(authorization: str) -> str:
    """`Bearer key`, or `Basic` with the key as the user's name."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())


def _masked(key: str) -> str:
    return key[:8] + "*" * max(4, len(key) - 12) + key[-4:]


def _refused(message: str, code: str | None = None) -> ApiError:
    return ApiError(message, status=401, code=code, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})
