"""The recent requests to the API, for tests that count them."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from billing.sandbox.exchanges import Exchange

KEPT = 20_000


@dataclass
class Entry:
    """`status` is None while the answer is not there, and for good where the line was cut."""

    id: str
    at: float
    method: str
    path: str
    query: str
    idempotency_key: str | None
    status: int | None = None
    is_replayed: bool = False
    fault: str | None = None


class RequestLog:
    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def open(self, exchange: Exchange, at: float) -> Entry:
        key = exchange.headers.get("idempotency-key")
        entry = Entry(exchange.request_id, at, exchange.method, exchange.path, exchange.query, key)
        self._entries.append(entry)
        return entry

    def clear(self) -> None:
        self._entries.clear()

    def shown(self) -> list[dict[str, Any]]:
        return [asdict(entry) for entry in self._entries]
