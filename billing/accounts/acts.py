"""What an action consists of: checked under lock, written down, called with no transaction open, recorded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from billing.gateway import PaymentGateway
from billing.ids import stripe_key
from billing.models import AccountAct
from billing.purchases.desk import Desk

SENDS_A_KEY = 5
"""Stripe repeats what it answered to a key for a day, its own failures too (Stripe, "Idempotent requests"): after so
many put offs the calls have new ones. Each of them does no harm twice, and one of an older key that is still at work
has long ended by then."""

Facts = Mapping[str, Any]
"""What will be called, as JSON: a worker that follows one that died calls the same, whatever the rows say by then."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An act under lock, and whose it is."""

    session: Session
    act: AccountAct
    student_id: int
    now: datetime

    @property
    def wish(self) -> Facts:
        return self.act.parameters


@dataclass(frozen=True, slots=True)
class Line:
    """Stripe, for one act."""

    desk: Desk
    act: AccountAct
    student_id: int
    facts: Facts

    @property
    def gateway(self) -> PaymentGateway:
        return self.desk.gateway

    @property
    def now(self) -> datetime:
        return self.desk.now

    def key(self, step: str | None = None) -> str:
        """The same for the same call of this act. It does not change where a worker died, only after put offs."""
        operation = f"account.{self.act.action}" if step is None else f"account.{self.act.action}.{step}"
        attempt = 1 + self.act.deferrals // SENDS_A_KEY
        return stripe_key(self.desk.deployment.installation, operation, self.act.id, attempt)


@dataclass(frozen=True, slots=True)
class Done:
    """`result` is what the owner sees of it, as JSON; `secret` is sealed."""

    result: Facts | None = None
    secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    error_type: str
    message: str


Decision = Done | Refused
Record = Callable[[Session, AccountAct], Decision]
"""Writes down what Stripe answered, and says what that makes of the act."""


@dataclass(frozen=True, slots=True)
class Action:
    """`check` raises a RefusedError, or says what is to be called; it is repeated after `ready`.

    `ready` gets from Stripe what the call needs and charges nobody. `guard` is repeated under lock before every call of
    an action that could charge, also by a worker that follows one that died. `is_change`: Stripe is asked about what
    the facts name once more, so that the last word is an answer to a question that was put afterwards.
    """

    check: Callable[[Asked], Facts]
    call: Callable[[Line], Record]
    ready: Callable[[Line], Facts] | None = None
    guard: Callable[[Asked], None] | None = None
    is_change: bool = True
