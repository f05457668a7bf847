"""The sandbox as commands speak to it: its API with the secret key, and its control."""

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from billing.config import Settings
from billing.errors import ConfigurationError, PermanentError, TransientError

PATIENCE_SECONDS = 30
DECLINED = 402


class SandboxRefusedError(PermanentError):
    """It would not do that; the sentence is its own."""


class SandboxAwayError(TransientError):
    """Nothing answers where it should be."""


class Sandbox:
    """Raises ConfigurationError where real payments are made."""

    def __init__(self, settings: Settings) -> None:
        if not settings.is_sandbox:
            raise ConfigurationError(["STRIPE_SECRET_KEY: this works at the sandbox only; unset it to have one"])
        self._base = settings.stripe_api_base.rstrip("/")
        self._key = settings.stripe_secret_key

    def get(self, path: str, **query: Any) -> Any:
        return self._open(self._request(f"{path}?{urlencode(query)}"))

    def act(self, path: str, **form: Any) -> Any:
        """What the API answers; a payment that is declined is an answer too."""
        request = self._request(path, urlencode(form).encode())
        try:
            return self._open(request)
        except SandboxDeclinedError as declined:
            return declined.answer

    def control(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST where there is a body, else GET."""
        data = None if body is None else json.dumps(body).encode()
        return self._open(self._request(f"/_sandbox/{path}", data))

    def _request(self, path: str, data: bytes | None = None) -> Request:
        return Request(f"{self._base}{path}", data, {"Authorization": f"Bearer {self._key}"})  # noqa: S310

    def _open(self, request: Request) -> Any:
        try:
            with urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310  (our own sandbox)
                return json.load(response)
        except HTTPError as error:
            raise _refusal(error) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise SandboxAwayError(f"no sandbox answers at {self._base} ({reason}); start it with `make run`") from None


class SandboxDeclinedError(SandboxRefusedError):
    def __init__(self, message: str, answer: Any) -> None:
        super().__init__(message)
        self.answer = answer


def _refusal(error: HTTPError) -> SandboxRefusedError:
    text = error.read().decode(errors="replace")
    try:
        answer = json.loads(text)
        message = str(answer["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return SandboxRefusedError(f"the sandbox answers {error.code}: {text[:200]}")
    if error.code == DECLINED:
        return SandboxDeclinedError(message, answer)
    return SandboxRefusedError(f"the sandbox refuses: {message}")
