"""Accepting a purchase that is paid with a saved card: one transaction, in which the student's clicks stand in line.

Whoever clicks twice waits for the first click's commit, through whichever door it came, and is answered with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.accounts.refusals import CardExpiredError, CardNotFoundError
from billing.errors import (
    BillingError,
    IdempotencyMismatchError,
    NoPaymentMethodError,
    PlanUnknownError,
    PriceChangedError,
    TopupNeedsAPackageError,
)
from billing.plans import PlanOnSale
from billing.purchases.accept import AcceptedPurchase, Caller
from billing.reads.cards import has_expired
from billing.states import PlanType, PurchaseState

SAME_WISH_SECONDS = 60
"""For so long the same wish without a key is the same purchase."""


@dataclass(frozen=True, slots=True)
class TopUpRequest:
    """A validated wish of a known caller. `card_id` is Stripe's; None is the default card."""

    id: UUID
    scope: str
    idempotency_key: str | None
    body_hash: bytes | None
    plan_id: int
    expected_price_cents: int | None
    card_id: str | None
    caller: Caller
    request_id: str
    accepted_at: datetime

    @property
    def key(self) -> tuple[str, str] | None:
        return None if self.idempotency_key is None else (self.scope, self.idempotency_key)

    @property
    def buyer_email(self) -> str | None:
        """As far as the caller's token knows it."""
        return self.caller.email


LOCK = text("SELECT id, name, email FROM student WHERE external_id = :sub FOR NO KEY UPDATE")
CARD = text("""
    SELECT stripe_payment_method_id AS id, exp_month, exp_year FROM payment_method
    WHERE student_id = :student_id AND detached_at IS NULL
        AND CASE WHEN CAST(:card_id AS text) IS NULL THEN is_default ELSE stripe_payment_method_id = :card_id END
""")
OF_KEY = text("""
    SELECT purchase.id, purchase.body_hash, purchase.state, plan.*
    FROM purchase JOIN plan_facts AS plan ON plan.version_id = purchase.plan_version_id
    WHERE purchase.scope = :scope AND purchase.idempotency_key = :key
""")
# What failed or is called off may be wished again at once.
OF_WISH = text("""
    SELECT purchase.id, purchase.body_hash, purchase.state, plan.*
    FROM purchase JOIN plan_facts AS plan ON plan.version_id = purchase.plan_version_id
    WHERE purchase.student_id = :student_id AND purchase.channel = 'topup' AND plan.plan_id = :plan_id
        AND purchase.payment_method_id = :card_id
        AND purchase.price_cents = coalesce(CAST(:expected_price_cents AS int), purchase.price_cents)
        AND purchase.accepted_at > CAST(:now AS timestamptz) - CAST(:while AS interval)
        AND purchase.state NOT IN ('failed', 'cancelled', 'expired') AND purchase.cancel_requested_at IS NULL
    ORDER BY purchase.transaction_id DESC LIMIT 1
""")
# The plan is joined inside the insert: what is sold is what is on sale at that moment, at that price.
ACCEPT = text("""
    WITH made AS (
        INSERT INTO purchase (
            id, channel, scope, idempotency_key, body_hash, request_id, caller_sub, caller_email,
            caller_email_verified, buyer_name, buyer_email, student_id, payment_method_id, plan_version_id, plan_type,
            price_cents, currency, minutes, validity_days, accepted_at, give_up_at, state, due_at, hint_at
        )
        SELECT :id, 'topup', :scope, :key, :body_hash, :request_id, :sub, CAST(:email AS text), :is_verified,
            :buyer_name, :buyer_email, :student_id, :card_id, plan.version_id, plan.plan_type, plan.price_cents,
            plan.currency, plan.minutes, plan.validity_days, :now, :give_up_at,
            'queued', clock_timestamp(), clock_timestamp() + interval '2 seconds'
        FROM plan_on_sale AS plan
        WHERE plan.plan_id = :plan_id AND plan.plan_type = 'package'
            AND plan.price_cents = coalesce(CAST(:expected_price_cents AS int), plan.price_cents)
        ON CONFLICT (scope, idempotency_key) DO NOTHING
        RETURNING id, body_hash, state, plan_version_id
    )
    SELECT made.id, made.body_hash, made.state, plan.*
    FROM made JOIN plan_facts AS plan ON plan.version_id = made.plan_version_id
""")
ON_SALE = text("SELECT plan_type, price_cents FROM plan_on_sale WHERE plan_id = :plan_id")


async def accept_topup(
    connection: AsyncConnection, request: TopUpRequest, *, give_up_after: timedelta
) -> AcceptedPurchase:
    """Make a queued purchase of it, or find the one that this wish has made already; done twice it is done once.

    Raises, in this order: IdempotencyMismatchError, CardNotFoundError or NoPaymentMethodError, CardExpiredError,
    PlanUnknownError, TopupNeedsAPackageError, PriceChangedError. Then nothing is kept of it.
    """
    student = await _one(connection, LOCK, {"sub": request.caller.sub})
    if earlier := await _of_key(connection, request):
        return earlier
    card = await _card(connection, request, student)
    if earlier := await _of_wish(connection, request, student, card):
        return earlier
    if student is None or card is None:
        raise _without_card(request)
    if has_expired(card["exp_year"], card["exp_month"], now=request.accepted_at):
        raise CardExpiredError("the card has expired")
    row = await _one(connection, ACCEPT, _values(request, student, card, request.accepted_at + give_up_after))
    if row is not None:
        return _accepted(request, row)
    return await _of_key(connection, request) or await _refuse(connection, request)


async def find_earlier_topup(connection: AsyncConnection, request: TopUpRequest) -> AcceptedPurchase | None:
    """What this wish has made already, waited for as it is where one is accepted; None where it has made nothing.

    Raises IdempotencyMismatchError.
    """
    student = await _one(connection, LOCK, {"sub": request.caller.sub})
    if earlier := await _of_key(connection, request):
        return earlier
    return await _of_wish(connection, request, student, await _card(connection, request, student))


async def _of_key(connection: AsyncConnection, request: TopUpRequest) -> AcceptedPurchase | None:
    if request.idempotency_key is None:
        return None
    row = await _one(connection, OF_KEY, {"scope": request.scope, "key": request.idempotency_key})
    if row is not None and row["body_hash"] != request.body_hash:
        raise IdempotencyMismatchError("this Idempotency-Key came with another body before")
    return None if row is None else _accepted(request, row)


async def _of_wish(
    connection: AsyncConnection, request: TopUpRequest, student: RowMapping | None, card: RowMapping | None
) -> AcceptedPurchase | None:
    """Only without a key: with one the caller says himself what is the same."""
    if request.idempotency_key is not None or student is None or card is None:
        return None
    given = {
        "student_id": student["id"],
        "plan_id": request.plan_id,
        "card_id": card["id"],
        "expected_price_cents": request.expected_price_cents,
        "now": request.accepted_at,
        "while": timedelta(seconds=SAME_WISH_SECONDS),
    }
    row = await _one(connection, OF_WISH, given)
    return None if row is None else _accepted(request, row)


async def _card(connection: AsyncConnection, request: TopUpRequest, student: RowMapping | None) -> RowMapping | None:
    if student is None:
        return None
    return await _one(connection, CARD, {"student_id": student["id"], "card_id": request.card_id})


async def _refuse(connection: AsyncConnection, request: TopUpRequest) -> AcceptedPurchase:
    plan = await _one(connection, ON_SALE, {"plan_id": request.plan_id})
    if plan is None:
        raise PlanUnknownError("plan_id: no such plan is on sale")
    if plan["plan_type"] != PlanType.PACKAGE:
        raise TopupNeedsAPackageError("a subscription is bought by subscribing, and is no top-up")
    if request.expected_price_cents not in (None, plan["price_cents"]):
        raise PriceChangedError(f"the price is {plan['price_cents'] / 100:.2f} now")
    raise PlanUnknownError("plan_id: the plan has just left the sale")


def _without_card(request: TopUpRequest) -> BillingError:
    if request.card_id is None:
        return NoPaymentMethodError("there is no default card to pay with")
    return CardNotFoundError("there is no such card")


def _accepted(request: TopUpRequest, row: RowMapping) -> AcceptedPurchase:
    """Its own row, seen again after a connection was lost, is no replay."""
    return AcceptedPurchase(row["id"], PurchaseState(row["state"]), PlanOnSale.of(row), row["id"] != request.id)


def _values(request: TopUpRequest, student: RowMapping, card: RowMapping, give_up_at: datetime) -> Mapping[str, object]:
    """The buyer is the student himself."""
    return {
        "id": request.id,
        "scope": request.scope,
        "key": request.idempotency_key,
        "body_hash": request.body_hash,
        "request_id": request.request_id,
        "sub": request.caller.sub,
        "email": request.caller.email,
        "is_verified": request.caller.email_verified,
        "buyer_name": student["name"],
        "buyer_email": student["email"],
        "student_id": student["id"],
        "card_id": card["id"],
        "plan_id": request.plan_id,
        "expected_price_cents": request.expected_price_cents,
        "now": request.accepted_at,
        "give_up_at": give_up_at,
    }


async def _one(connection: AsyncConnection, statement: TextClause, given: Mapping[str, Any]) -> RowMapping | None:
    return (await connection.execute(statement, given)).mappings().one_or_none()
