"""Everything that may cross the queue: a kind of work, or the id of one row. Never a fact, never a secret."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

QUEUES = ("purchases", "webhooks", "hours", "money", "maintenance")
"""Every queue, by the kind of waiting its work does; each has a direct exchange of its own name."""


class FollowUp(BaseModel):
    """What a use case wants told once its transaction is committed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(FollowUp):
    """Somebody may see something new: who waits for the row of this id reads it. Told to doors, not to workers."""

    channel: ClassVar[str] = "billing.changes"

    @property
    @abstractmethod
    def subject(self) -> UUID: ...

    @staticmethod
    def together(changes: Iterable["Change"]) -> str:
        """The changes of one commit as one message of the channel: their ids, with spaces between."""
        return " ".join(dict.fromkeys(str(change.subject) for change in changes))


class PurchaseChanged(Change):
    purchase_id: UUID

    @property
    def subject(self) -> UUID:
        return self.purchase_id


class ActDecided(Change):
    """What the platform or staff asked for was done or refused."""

    act_id: UUID

    @property
    def subject(self) -> UUID:
        return self.act_id


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


class AskAboutPayment(Message):
    """Nothing was heard of a payment for a while."""

    task: ClassVar[str] = "billing.purchases.ask"
    queue: ClassVar[str] = "money"

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


class HoursWaiting(Message):
    """The platform asked for something to be done with hours."""

    task: ClassVar[str] = "billing.consumptions.drain"
    queue: ClassVar[str] = "hours"
    coalesced: ClassVar[bool] = True


class LapseHolds(Message):
    """Time to give back the hours of holds that nobody captured or released."""

    task: ClassVar[str] = "billing.consumptions.lapse"
    queue: ClassVar[str] = "hours"


class PerformStaffAct(Message):
    """Staff asked for something, with a reason."""

    task: ClassVar[str] = "billing.staff.perform"
    queue: ClassVar[str] = "hours"

    act_id: UUID


class StartNightlySweep(Message):
    """Time to write off what expired."""

    task: ClassVar[str] = "billing.expiry.start_nightly"
    queue: ClassVar[str] = "maintenance"


class StartLateSweep(Message):
    """Time to write off what a night that was missed left behind."""

    task: ClassVar[str] = "billing.expiry.start_late"
    queue: ClassVar[str] = "maintenance"


class SweepLots(Message):
    """A sweep of expired lots is to begin, or to go on."""

    task: ClassVar[str] = "billing.expiry.sweep"
    queue: ClassVar[str] = "maintenance"

    run_id: int


class SendRefund(Message):
    """A refund has something to do at Stripe: be made, or be looked for."""

    task: ClassVar[str] = "billing.refunds.send"
    queue: ClassVar[str] = "money"

    refund_id: UUID


class PerformAccountAct(Message):
    """The owner of an account asked for something to be done with cards or with a subscription."""

    task: ClassVar[str] = "billing.accounts.perform"
    queue: ClassVar[str] = "money"

    act_id: UUID


class AskStripe(Message):
    """Something at Stripe may have changed: it is to be asked what is true."""

    task: ClassVar[str] = "billing.stale.ask"
    queue: ClassVar[str] = "money"

    mark_id: int


class ReceiptsWaiting(Message):
    """Paid purchases are to have their receipts."""

    task: ClassVar[str] = "billing.receipts.drain"
    queue: ClassVar[str] = "maintenance"
    coalesced: ClassVar[bool] = True


class CloseAbandoned(Message):
    """Time to end purchases that nobody paid."""

    task: ClassVar[str] = "billing.purchases.abandon"
    queue: ClassVar[str] = "maintenance"


class WatchDisputes(Message):
    """Time to look for disputes whose evidence is due soon."""

    task: ClassVar[str] = "billing.disputes.watch"
    queue: ClassVar[str] = "maintenance"


class WarnStudents(Message):
    """Time to look for lots that expire soon."""

    task: ClassVar[str] = "billing.notifications.warn"
    queue: ClassVar[str] = "maintenance"


class SendNotification(Message):
    """A student is to be told something."""

    task: ClassVar[str] = "billing.notifications.send"
    queue: ClassVar[str] = "maintenance"

    notification_id: UUID


class WriteExport(Message):
    """A list that is too long to be sent at once is to be written, or gone on with."""

    task: ClassVar[str] = "billing.exports.write"
    queue: ClassVar[str] = "maintenance"

    export_id: UUID


class ReadEvents(Message):
    """Time to ask Stripe which events there were, should one not have reached us."""

    task: ClassVar[str] = "billing.reconciliation.read_events"
    queue: ClassVar[str] = "maintenance"


class CompareLedgers(Message):
    """Time to compare Stripe's payments and refunds with ours."""

    task: ClassVar[str] = "billing.reconciliation.compare"
    queue: ClassVar[str] = "maintenance"


class DropOldRows(Message):
    """Time to remove what was kept long enough."""

    task: ClassVar[str] = "billing.retention.drop"
    queue: ClassVar[str] = "maintenance"


class EraseShortLived(Message):
    """Time to remove what is kept for a day only: secrets of browsers, and rows that staff exported."""

    task: ClassVar[str] = "billing.retention.erase"
    queue: ClassVar[str] = "maintenance"


class AuditBalances(Message):
    """Time to prove every balance from the ledger."""

    task: ClassVar[str] = "billing.ledger.audit"
    queue: ClassVar[str] = "maintenance"


MESSAGES: tuple[type[Message], ...] = (
    PreparePayment,
    AskAboutPayment,
    EventsWaiting,
    LinkStudent,
    HoursWaiting,
    LapseHolds,
    PerformStaffAct,
    StartNightlySweep,
    StartLateSweep,
    SweepLots,
    SendRefund,
    PerformAccountAct,
    AskStripe,
    ReceiptsWaiting,
    CloseAbandoned,
    WatchDisputes,
    WarnStudents,
    SendNotification,
    WriteExport,
    ReadEvents,
    CompareLedgers,
    DropOldRows,
    EraseShortLived,
    AuditBalances,
)


class Hints(Protocol):
    """How messages leave: within a short bound, and losing one costs no more than the sweeper's seconds."""

    def send(self, message: Message) -> None:
        """Publish, or drop it where the broker does not take it in time."""

    def taken(self, kind: type[Message]) -> None:
        """From now on a new row needs a new hint: call it before the rows are selected."""

    def notify(self, changes: Sequence[Change]) -> None:
        """Wake the doors' waiting requests; where that does not work in time, they find out within a second."""


def tell(hints: Hints, follow_ups: Sequence[FollowUp]) -> None:
    """What a commit brought: who waits is woken first, and then its messages leave."""
    hints.notify([one for one in follow_ups if isinstance(one, Change)])
    for one in follow_ups:
        if isinstance(one, Message):
            hints.send(one)
