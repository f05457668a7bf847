"""Pursuing what a purchase needs at Stripe: made, or looked for, or ended; the same steps whatever it is.

Whatever happens between two of them, the next worker sends the same key with the same parameters, or looks the object
up.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from billing import work
from billing.gateway import GatewayError
from billing.ids import installation_mark
from billing.models import Purchase, StripeCall
from billing.purchases.answers import Answers, Record
from billing.purchases.desk import Desk

Found = TypeVar("Found")


class Aim(Enum):
    CREATE = auto()
    LOOK = auto()
    """It was sent so often, or so long ago, that the object is looked for before anything is sent again."""
    END = auto()
    """Its time is up: nothing is created any more, and what is there is cancelled."""


@dataclass(frozen=True, slots=True)
class Pursuit(ABC, Generic[Found]):
    """A purchase in our hands, the call that is written down for it, and what is to be done."""

    desk: Desk
    claim: work.Claim[Purchase]
    call: StripeCall
    aim: Aim

    @property
    def answers(self) -> Answers:
        return Answers(self.claim, self.call.id, self.desk.vault, self.desk.deployment, self.desk.now)

    @property
    def mark(self) -> str:
        return installation_mark(self.desk.deployment.installation, self.claim.row.id)

    def pursue(self) -> Record:
        if self.aim is Aim.CREATE:
            return self.create()
        found = self.look()
        if found is None:
            return self.answers.not_there() if self.aim is Aim.LOOK else self.answers.ended(None)
        return self.kept(found) if self.aim is Aim.LOOK else self.end(found)

    def trouble(self, error: GatewayError) -> Record:
        return self.answers.trouble(error, is_look=self.aim is Aim.LOOK, is_over=self.aim is Aim.END)

    @abstractmethod
    def create(self) -> Record: ...

    @abstractmethod
    def look(self) -> Found | None: ...

    @abstractmethod
    def kept(self, found: Found) -> Record: ...

    @abstractmethod
    def end(self, found: Found) -> Record:
        """Cancel what is there; where Stripe says that it was paid meanwhile, the purchase goes on."""
