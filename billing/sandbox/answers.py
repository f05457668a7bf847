"""An answer before it becomes bytes on a line."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

Cut = Literal["silent", "body"]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    cut: Cut | None = None
    is_kept: bool = False
    """Repeats of the idempotency key get this answer, where the work's own would be theirs otherwise."""

    @classmethod
    def json(cls, body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> "Answer":
        return cls(status, orjson.dumps(body, option=orjson.OPT_INDENT_2), headers or {})

    def with_headers(self, **headers: str) -> "Answer":
        return replace(self, headers={**self.headers, **headers})
