"""One request as it came: method, path, headers, form; before anyone asked whether it makes sense."""

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError
from billing.sandbox.forms import decode
from billing.sandbox.origins import API_VERSION, Origin

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    query: str
    headers: Headers
    base_url: str
    request_id: str

    @classmethod
    def of(cls, request: Request) -> "Exchange":
        url = request.url
        base = f"{url.scheme}://{url.netloc}"
        return cls(request.method, url.path, url.query, request.headers, base, new_id("req", 14))

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("idempotency-key") if self.method == "POST" else None

    @property
    def api_version(self) -> str:
        return self.headers.get("stripe-version", API_VERSION)

    @property
    def origin(self) -> Origin:
        return Origin(self.base_url, self.request_id, self.idempotency_key, self.api_version)

    def params(self, body: bytes) -> dict[str, Any]:
        """From the address for GET and DELETE, from the body for POST."""
        if not body:
            return decode(self.query)
        if self.headers.get("content-type", _FORM).partition(";")[0].strip() != _FORM:
            raise ApiError(f"Invalid request: the body must be {_FORM}.")
        try:
            return decode(body.decode())
        except UnicodeDecodeError:
            raise ApiError("Invalid request: the body must be UTF-8.") from None
