"""One request to the API after its parameters were found right: what a resource's function works with."""

from dataclasses import dataclass
from typing import Any

from billing.sandbox.account import Account
from billing.sandbox.objects import Body
from billing.sandbox.origins import Origin


@dataclass(frozen=True)
class Call:
    account: Account
    origin: Origin
    params: dict[str, Any]
    subject: str = ""
    """The id in the address."""
    is_publishable: bool = False
    """A browser calls: with the publishable key and the intent's client secret."""

    def record(self, event_type: str, subject: Body, before: Body | None = None) -> None:
        self.account.events.record(self.origin, event_type, subject, before)
