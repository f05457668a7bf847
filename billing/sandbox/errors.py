"""Stripe's errors in Stripe's shape, so that the client raises the class that it would raise for Stripe.

Pages: "Errors", "Error codes" and "Idempotent requests" of Stripe's API reference.
"""

from typing import Any

from billing.sandbox.answers import Answer

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """What the caller reads; the work done so far is undone."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = INVALID_REQUEST,  # noqa: A002  (Stripe's word)
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        facts = {"code": code, "doc_url": doc_url(code), "message": message, "param": param, "type": type, **more}
        self.error = {name: value for name, value in facts.items() if value is not None}

    def answer(self) -> Answer:
        return Answer.json({"error": self.error}, status=self.status, headers=self.headers)


class CardDeclined(ApiError):  # noqa: N818  (an answer of the card's bank)
    """The bank said no: what was tried is kept, as an intent that failed and a charge that shows why."""

    def __init__(self, error: dict[str, Any], **more: Any) -> None:
        super().__init__(status=402, **error, **more)


def doc_url(code: str | None) -> str | None:
    return None if code is None else "https://stripe.com/docs/error-codes/" + code.replace("_", "-")


def no_such(noun: str, object_id: str, *, param: str = "id", status: int = 400) -> ApiError:
    """404 where the address names it, 400 where a parameter does."""
    return ApiError(f"No such {noun}: '{object_id}'", status=status, code="resource_missing", param=param)
