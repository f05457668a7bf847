"""What staff can ask for: each with the bounds of what it takes, as it is kept in the row of the act."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from billing.states import StaffAction

LONGEST_DAYS = 1826
"""Five years: no package is extended, and nothing granted, beyond that from now."""

MOST_PACKAGES = 1000
"""That are extended together."""

MOST_MINUTES = 1000 * 60
"""That are granted or taken back at once."""

LONGEST_GRACE_HOURS = 24 * 365

LONGEST_INVOICE_REF = 100


def _each_once(ids: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(ids)))


Days = Annotated[int, Field(ge=1, le=LONGEST_DAYS)]
Minutes = Annotated[int, Field(ge=1, le=MOST_MINUTES)]
Packages = Annotated[tuple[int, ...], Field(min_length=1, max_length=MOST_PACKAGES), AfterValidator(_each_once)]


class Wish(BaseModel, ABC):
    """`target` names what it is about."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    action: ClassVar[StaffAction]
    seen: ClassVar[frozenset[str]] = frozenset()
    """Which of its fields say what its author has seen, and not what is wanted."""

    @property
    @abstractmethod
    def target(self) -> str: ...


def _is_unsaid(value: object) -> bool:
    """It is left out of the row, as if there were no such field."""
    return not value


class Extend(Wish):
    """The hours of one package last for more days: after their last one, or after today.

    `expected_expires_at` is the end that its author has seen: where it is another one by then, nothing is done.
    """

    action: ClassVar[StaffAction] = StaffAction.EXTEND
    seen: ClassVar[frozenset[str]] = frozenset({"expected_expires_at"})
    transaction_id: int
    extension_days: Days
    extend_from_now: bool = False
    expected_expires_at: AwareDatetime | None = Field(default=None, exclude_if=_is_unsaid)

    @property
    def target(self) -> str:
        return f"purchase:{self.transaction_id}"

    @property
    def transaction_ids(self) -> tuple[int, ...]:
        return (self.transaction_id,)

    @property
    def expected_ends(self) -> Mapping[int, datetime]:
        return {} if self.expected_expires_at is None else {self.transaction_id: self.expected_expires_at}


class BulkExtend(Wish):
    """The same for several packages: for all, or for none. `expected_ends` are by transaction, of those it names."""

    action: ClassVar[StaffAction] = StaffAction.BULK_EXTEND
    seen: ClassVar[frozenset[str]] = frozenset({"expected_ends"})
    transaction_ids: Packages
    extension_days: Days
    extend_from_now: bool = False
    expected_ends: dict[int, AwareDatetime] = Field(default_factory=dict, exclude_if=_is_unsaid)

    @property
    def target(self) -> str:
        return "purchases"


class Grant(Wish):
    """Hours that nobody paid for."""

    action: ClassVar[StaffAction] = StaffAction.GRANT
    student_id: int
    minutes: Minutes
    validity_days: Days

    @property
    def target(self) -> str:
        return f"student:{self.student_id}"


class Correct(Wish):
    """Hours that should never have been there are taken back."""

    action: ClassVar[StaffAction] = StaffAction.CORRECT
    student_id: int
    minutes: Minutes

    @property
    def target(self) -> str:
        return f"student:{self.student_id}"


class ProcessExpired(Wish):
    """What expired longer ago than the grace is written off now."""

    action: ClassVar[StaffAction] = StaffAction.PROCESS_EXPIRED
    grace_hours: Annotated[int, Field(ge=0, le=LONGEST_GRACE_HOURS)]

    @property
    def target(self) -> str:
        return "expired_lots"


class UndoSweep(Wish):
    """What a sweep wrote off comes back."""

    action: ClassVar[StaffAction] = StaffAction.UNDO_SWEEP
    run_id: int

    @property
    def target(self) -> str:
        return f"sweep_run:{self.run_id}"


class RefundPurchase(Wish):
    """Money goes back for hours that nobody used: so much, or all of it."""

    action: ClassVar[StaffAction] = StaffAction.REFUND
    transaction_id: int
    amount_cents: Annotated[int, Field(ge=1)] | None = None

    @property
    def target(self) -> str:
        return f"purchase:{self.transaction_id}"


class SetInvoice(Wish):
    """The name that an invoicing system gave to a payment's invoice stands on its receipt."""

    action: ClassVar[StaffAction] = StaffAction.SET_INVOICE
    receipt_id: UUID
    invoice_ref: Annotated[str, Field(min_length=1, max_length=LONGEST_INVOICE_REF)]

    @property
    def target(self) -> str:
        return f"receipt:{self.receipt_id}"


class OfDeadLetter(Wish, ABC):
    """Of what gave up: the kind of its row, and the row's id."""

    kind: Annotated[str, Field(min_length=1, max_length=40)]
    subject: Annotated[str, Field(min_length=1, max_length=64)]

    @property
    def target(self) -> str:
        return f"{self.kind}:{self.subject}"


class Replay(OfDeadLetter):
    """It is worked anew, as if it had never been tried."""

    action: ClassVar[StaffAction] = StaffAction.REPLAY


class Park(OfDeadLetter):
    """It is put aside, to be seen to later."""

    action: ClassVar[StaffAction] = StaffAction.PARK


class Discard(OfDeadLetter):
    """It is never to be worked."""

    action: ClassVar[StaffAction] = StaffAction.DISCARD


class CloseFinding(Wish):
    """A difference between Stripe and us was looked at; the reason is the note that stays with it."""

    action: ClassVar[StaffAction] = StaffAction.CLOSE_FINDING
    finding_id: UUID

    @property
    def target(self) -> str:
        return f"finding:{self.finding_id}"


class CloseCase(Wish):
    """A case was looked at; the reason is the note that stays with it."""

    action: ClassVar[StaffAction] = StaffAction.CLOSE_CASE
    case_id: int

    @property
    def target(self) -> str:
        return f"case:{self.case_id}"
