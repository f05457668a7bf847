"""The pages of a student, as a caller reads them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from starlette.testclient import TestClient

from tests.web.support import API

HISTORY, PURCHASES, LEDGER = (f"{API}student-balance/{name}/" for name in ("history", "purchases", "ledger"))
ROUTES = (HISTORY, PURCHASES, LEDGER)


def written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seen(client: TestClient, path: str, headers: dict[str, str], **query: Any) -> dict[str, Any]:
    answer = client.get(path, headers=headers, params=query or None)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(body: dict[str, Any], name: str = "transaction_id") -> Sequence[Any]:
    return [row[name] for row in body["results"]]
