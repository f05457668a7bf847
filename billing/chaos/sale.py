"""One purchase as its buyer follows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from billing.chaos.clients import Clients
from billing.chaos.line import Answer

PREFIX = "/api/finances/api"
LOOK_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Sale:
    clients: Clients
    id: UUID
    email: str
    access_token: str

    @classmethod
    def of(cls, clients: Clients, answer: Answer, email: str) -> "Sale":
        """From a 201 or a 202."""
        task_id = clients.promises.keep(clients.promises.purchases, answer.body["task_id"])
        token = answer.body.get("access_token") or answer.headers.get("x-access-token", "")
        return cls(clients, task_id, email, token)

    @property
    def path(self) -> str:
        return f"{PREFIX}/purchase/{self.id}/"

    def until(self, is_reached: Callable[[dict[str, Any]], bool], looks: int) -> dict[str, Any] | None:
        """The status once it is so; None where it is not after so many looks."""
        headers = {"X-Access-Token": self.access_token, "Prefer": f"wait={LOOK_SECONDS}"}
        for _ in range(looks):
            answer = self.clients.insist("GET", self.path, None, headers)
            if answer.status != 200:
                self.clients.promises.differs(f"a promised purchase is not shown: {answer.status} for {self.id}")
                return None
            found: dict[str, Any] = answer.body
            if is_reached(found):
                return found
            self.clients.pause(0.1 if found["status"] == "queued" else 1.0)
        return None

    def cancel(self) -> None:
        self.clients.insist("POST", f"{self.path}cancel/", None, {"X-Access-Token": self.access_token})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
