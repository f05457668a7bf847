"""What a purchase could be refunded now, by the rules that hold a refund: the same statement serves both."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import InvalidTransactionStateError, NoRefundableHoursError, RefusedError
from billing.reads.written import euros, hours
from billing.refunds.quote import Policy, Quote, Standing, quote
from billing.states import PurchaseState

STANDING = text("""
    SELECT purchase.id AS purchase_id, purchase.transaction_id, purchase.state, purchase.paid_at, purchase.price_cents,
        purchase.refunded_cents, purchase.refunding_cents, lot.minutes_granted, coalesce(lot.minutes_left, 0) AS left,
        coalesce(lot.minutes_held, 0) AS held, coalesce(lot.minutes_refunded, 0) AS refunded, lot.expires_at,
        (
            SELECT coalesce(sum(minutes), 0) FROM refund
            WHERE refund.purchase_id = purchase.id AND refund.state IN ('held', 'sent')
        ) AS going,
        EXISTS (SELECT FROM dispute WHERE dispute.purchase_id = purchase.id AND dispute.state = 'open') AS is_disputed
    FROM purchase LEFT JOIN hour_lot AS lot ON lot.purchase_id = purchase.id
    WHERE purchase.transaction_id = :transaction_id
""")


@dataclass(frozen=True, slots=True)
class QuoteView:
    """`offered` is None where the purchase brought no hours; `refusal` is what whoever asks for money is told."""

    purchase_id: UUID
    transaction_id: int
    price_cents: int
    refunded_cents: int
    minutes_unused: int
    offered: Quote | None
    refusal: RefusedError | None

    @property
    def refundable_cents(self) -> int:
        return 0 if self.refusal or self.offered is None else self.offered.refundable_cents

    @property
    def fee_cents(self) -> int:
        return 0 if self.offered is None else self.offered.fee_cents

    @property
    def formula(self) -> str | None:
        """None where no rule for amounts is asked, because nothing goes back whatever they say."""
        is_barred = isinstance(self.refusal, InvalidTransactionStateError)
        return None if is_barred or self.offered is None else self.offered.formula

    @classmethod
    def of(cls, row: RowMapping, policy: Policy, now: datetime) -> "QuoteView":
        is_alive = row["expires_at"] is None or row["expires_at"] > now
        unused = row["left"] if is_alive else 0
        offered = None if row["minutes_granted"] is None else quote(_standing(row, unused), policy)
        return cls(
            purchase_id=row["purchase_id"],
            transaction_id=row["transaction_id"],
            price_cents=row["price_cents"],
            refunded_cents=row["refunded_cents"],
            minutes_unused=unused,
            offered=offered,
            refusal=_barred(row, policy, now) or _empty(offered),
        )


async def find_quote(
    connection: AsyncConnection, transaction_id: int, policy: Policy, *, now: datetime
) -> QuoteView | None:
    """None where there is no such purchase."""
    row = (await connection.execute(STANDING, {"transaction_id": transaction_id})).mappings().one_or_none()
    return None if row is None else QuoteView.of(row, policy, now)


def written_quote(view: QuoteView) -> dict[str, object]:
    """In the words of answers; `reason` is there where nothing can be given back, and `message` says why."""
    why = {} if view.refusal is None else {"reason": view.refusal.error_type, "message": str(view.refusal)}
    return {
        "transaction_id": view.transaction_id,
        "refundable_amount": euros(view.refundable_cents),
        "unused_hours": hours(view.minutes_unused),
        "unused_minutes": view.minutes_unused,
        "price": euros(view.price_cents),
        "refunded_eur": euros(view.refunded_cents),
        "fee": euros(view.fee_cents),
        "formula": view.formula,
        **why,
    }


def _standing(row: RowMapping, unused: int) -> Standing:
    return Standing(
        price_cents=row["price_cents"],
        gone_cents=row["refunded_cents"] + row["refunding_cents"],
        minutes_granted=row["minutes_granted"],
        minutes_gone=row["refunded"] + row["going"],
        minutes_unused=unused,
    )


def _barred(row: RowMapping, policy: Policy, now: datetime) -> RefusedError | None:
    """What no amount is given back for, whatever is left."""
    if row["state"] != PurchaseState.COMPLETED or row["paid_at"] is None:
        return InvalidTransactionStateError(f"a purchase that is {row['state']} cannot be refunded")
    if policy.is_over(row["paid_at"], now):
        return InvalidTransactionStateError(f"it was paid more than {policy.window_days} days ago")
    if row["is_disputed"]:
        return InvalidTransactionStateError("its payment is disputed; the dispute decides about the money")
    return None


def _empty(offered: Quote | None) -> RefusedError | None:
    if offered is None:
        return NoRefundableHoursError("this purchase has brought no hours")
    if offered.refundable_cents == 0:
        return NoRefundableHoursError("none of its hours are left that could be given back")
    return None
