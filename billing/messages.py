"""Everything that may cross the queue: a kind of work, or the id of one row. Never a fact, never a secret."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

QUEUES = ("purchases", "webhooks", "hours", "money", "maintenance")
"""Every queue, by the kind of waiting its work does; each has a direct exchange of its own name."""


class FollowUp(BaseModel):
    """What a use case wants told once its transaction is committed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PurchaseChanged(FollowUp):
    """A buyer may see something new: who waits for this purchase reads its row. Told to doors, not to workers."""

    channel: ClassVar[str] = "billing.purchases.changed"

    purchase_id: UUID

    @staticmethod
    def together(changes: Iterable["PurchaseChanged"]) -> str:
        """The changes of one commit as one message of the channel: their ids, with spaces between."""
        return " ".join(dict.fromkeys(str(change.purchase_id) for change in changes))


class Message(FollowUp):
    task: ClassVar[str]
    queue: ClassVar[str]
    coalesced: ClassVar[bool] = False
    """Hints of this kind stand for all waiting rows, so one in half a second is enough."""


class PreparePayment(Message):
    """A purchase has something to do at Stripe: get its intent, be cancelled, or be looked for."""

    task: ClassVar[str] = "billing.purchases.prepare_payment"
    queue: ClassVar[str] = "purchases"

    purchase_id: UUID


class EventsWaiting(Message):
    """Some webhook events wait to be worked."""

    task: ClassVar[str] = "billing.webhooks.drain"
    queue: ClassVar[str] = "webhooks"
    coalesced: ClassVar[bool] = True


class LinkStudent(Message):
    """An account proved an address for which guests have bought."""

    task: ClassVar[str] = "billing.students.link"
    queue: ClassVar[str] = "hours"

    link_id: UUID


class AuditBalances(Message):
    """Time to prove every balance from the ledger."""

    task: ClassVar[str] = "billing.ledger.audit"
    queue: ClassVar[str] = "maintenance"


MESSAGES: tuple[type[Message], ...] = (PreparePayment, EventsWaiting, LinkStudent, AuditBalances)


class Hints(Protocol):
    """How messages leave: within a short bound, and losing one costs no more than the sweeper's seconds."""

    def send(self, message: Message) -> None:
        """Publish, or drop it where the broker does not take it in time."""

    def taken(self, kind: type[Message]) -> None:
        """From now on a new row needs a new hint: call it before the rows are selected."""

    def notify(self, changes: Sequence[PurchaseChanged]) -> None:
        """Wake the doors' waiting requests; where that does not work in time, they find out within a second."""
