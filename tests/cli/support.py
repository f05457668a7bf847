"""What a command leaves behind."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    status: int | str
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line of a problem."""
        (line,) = self.err.splitlines()
        assert (self.status, self.out) == (1, "")
        assert line.startswith("billing: ")
        return line.removeprefix("billing: ")


Billing = Callable[..., Said]
