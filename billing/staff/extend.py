"""Packages that last longer: what a sweep wrote off of them comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from billing import ledger, packages
from billing.errors import (
    ExtensionTooLongError,
    ExtensionTooShortError,
    InvalidTransactionStateError,
    NotFoundError,
    PackageChangedError,
    StillExpiredError,
)
from billing.ledger import Extension, Lot, Move, Posting
from billing.models import StaffAct
from billing.reads.written import instant
from billing.staff.effects import Context, Effect
from billing.staff.wishes import LONGEST_DAYS, BulkExtend, Extend
from billing.states import EntryKind, Part, PlanType, PurchaseState

LOCK = text("""
    SELECT id, transaction_id, plan_type, state, student_id FROM purchase
    WHERE transaction_id = ANY(CAST(:transactions AS bigint[])) ORDER BY id FOR NO KEY UPDATE
""")
# Asked when the purchases are locked: from then on no lot of theirs comes, and none changes hands.
LOTS = text("SELECT id, purchase_id FROM hour_lot WHERE purchase_id = ANY(CAST(:purchases AS uuid[]))")


@dataclass(frozen=True, slots=True)
class Package:
    """A paid package with its lot under lock, and the new end of it."""

    transaction_id: int
    purchase_id: UUID
    lot: Lot
    expires_at: datetime

    @property
    def minutes_back(self) -> int:
        return self.lot.parts[Part.EXPIRED]

    def before(self) -> dict[str, Any]:
        return self._facts(self.lot.expires_at, self.lot.left, self.minutes_back)

    def after(self) -> dict[str, Any]:
        return self._facts(self.expires_at, self.lot.left + self.minutes_back, 0)

    def restored(self, act_id: UUID, at: datetime) -> Posting:
        return Posting(
            student_id=self.lot.student_id,
            kind=EntryKind.RESTORE,
            source=f"staff_act:{act_id}:lot:{self.lot.id}",
            moves=[Move(self.lot.id, self.minutes_back, Part.EXPIRED)],
            at=at,
            purchase_id=self.purchase_id,
        )

    def _facts(self, expires_at: datetime | None, minutes_left: int, minutes_expired: int) -> dict[str, Any]:
        return {
            "transaction_id": self.transaction_id,
            "expires_at": expires_at and instant(expires_at),
            "minutes_left": minutes_left,
            "minutes_expired": minutes_expired,
        }


@dataclass(frozen=True, slots=True)
class _Bought:
    id: UUID
    transaction_id: int
    plan_type: PlanType
    state: PurchaseState
    student_id: int | None


def extend(session: Session, act: StaffAct, context: Context) -> Effect:
    (package,) = _extend(session, act, Extend.model_validate(act.parameters), context)
    return Effect(package.before(), package.after())


def bulk_extend(session: Session, act: StaffAct, context: Context) -> Effect:
    """All of them, or the first refusal."""
    found = _extend(session, act, BulkExtend.model_validate(act.parameters), context)
    return Effect(
        {"packages": [package.before() for package in found]}, {"packages": [package.after() for package in found]}
    )


def new_end(expires_at: datetime, wish: Extend | BulkExtend, context: Context) -> datetime:
    """The first instant that is too late, in UTC: so many days after the last one, or after today.

    Raises the refusal that is due.
    """
    last = context.now if wish.extend_from_now else expires_at - timedelta.resolution
    try:
        end = packages.expires_at(last, wish.extension_days, context.zone)
    except OverflowError:
        end = datetime.max.replace(tzinfo=UTC)
    if end <= context.now:
        raise StillExpiredError("its hours would still be expired: extend them from now, with `extend_from_now`")
    if end <= expires_at:
        raise ExtensionTooShortError(f"its hours last until {instant(expires_at)} already")
    if end > packages.expires_at(context.now, LONGEST_DAYS, context.zone):
        raise ExtensionTooLongError(f"its hours would last for more than {LONGEST_DAYS} days from now")
    return end


def _extend(session: Session, act: StaffAct, wish: Extend | BulkExtend, context: Context) -> Sequence[Package]:
    found = [_extended(bought, lot, wish, context) for bought, lot in _locked(session, wish.transaction_ids)]
    ends = [Extension(package.lot.id, package.expires_at) for package in found]
    ledger.extend(session, ends, source=f"staff_act:{act.id}", at=context.now)
    ledger.post(session, [package.restored(act.id, context.now) for package in found if package.minutes_back])
    return found


def _extended(bought: _Bought, lot: Lot | None, wish: Extend | BulkExtend, context: Context) -> Package:
    """Raises a refusal that names the package."""
    name = f"package {bought.transaction_id}"
    if bought.plan_type is not PlanType.PACKAGE:
        raise InvalidTransactionStateError(f"{name} is a subscription: its periods are not extended")
    if bought.state is not PurchaseState.COMPLETED:
        raise InvalidTransactionStateError(f"{name} is {bought.state}, and only a paid one can be extended")
    if lot is None or lot.expires_at is None:
        raise InvalidTransactionStateError(f"{name} has no hours that expire")
    _check_end(name, lot.expires_at, wish.expected_ends.get(bought.transaction_id))
    try:
        return Package(bought.transaction_id, bought.id, lot, new_end(lot.expires_at, wish, context))
    except (StillExpiredError, ExtensionTooShortError, ExtensionTooLongError) as error:
        raise type(error)(f"{name}: {error}") from None


def _check_end(name: str, expires_at: datetime, expected: datetime | None) -> None:
    """Compared as answers write them, to the millisecond. Raises PackageChangedError."""
    if expected is not None and instant(expected) != instant(expires_at):
        raise PackageChangedError(
            f"{name}: its hours last until {instant(expires_at)} now, and not until {instant(expected)} any more"
        )


def _locked(session: Session, transactions: Sequence[int]) -> Sequence[tuple[_Bought, Lot | None]]:
    """Purchases, balances and lots, locked in this order; given in the order of their numbers.

    Raises NotFoundError where one is not there.
    """
    rows = session.execute(LOCK, {"transactions": list(transactions)}).mappings().all()
    purchases = [
        _Bought(**{**row, "plan_type": PlanType(row["plan_type"]), "state": PurchaseState(row["state"])})
        for row in rows
    ]
    if missing := set(transactions) - {one.transaction_id for one in purchases}:
        raise NotFoundError(f"there is no package {min(missing)}")
    lots = _lock_lots(session, purchases)
    return [(one, lots.get(one.id)) for one in sorted(purchases, key=lambda one: one.transaction_id)]


def _lock_lots(session: Session, purchases: Sequence[_Bought]) -> Mapping[UUID, Lot]:
    ids = [one.id for one in purchases]
    owners = {row.id: row.purchase_id for row in session.execute(LOTS, {"purchases": ids})}
    students = {one.student_id for one in purchases if one.student_id is not None}
    accounts = ledger.lock_accounts(session, students, owners)
    lots = [lot for account in accounts.values() for lot in account.lots.values() if lot.id in owners]
    return {owners[lot.id]: lot for lot in lots}
