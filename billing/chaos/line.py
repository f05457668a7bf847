"""HTTP as a client far away has it: an answer, or none, and no way to know what became of the request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

PATIENCE_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    base: str
    headers: Mapping[str, str]

    def ask(
        self,
        method: str,
        path: str,
        *,
        json_body: object = None,
        form: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """None where no whole answer in JSON came."""
        data, kind = _encoded(json_body, form)
        every = {**self.headers, **kind, **(headers or {})}
        request = Request(f"{self.base}{path}", data, every, method=method)  # noqa: S310  (our own servers)
        try:
            with urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310
                return Answer(response.status, json.load(response), _lowered(response.headers))
        except HTTPError as error:
            return _refused(error)
        except (OSError, HTTPException, ValueError):
            return None


def _encoded(body: object, form: Mapping[str, object] | None) -> tuple[bytes | None, dict[str, str]]:
    if form is not None:
        return urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    if body is not None:
        return json.dumps(body).encode(), {"Content-Type": "application/json"}
    return None, {}


def _refused(error: HTTPError) -> Answer | None:
    try:
        text = error.read()
    except (OSError, HTTPException):
        return None
    try:
        return Answer(error.code, json.loads(text), _lowered(error.headers))
    except ValueError:
        return Answer(error.code, {}, _lowered(error.headers))


def _lowered(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
