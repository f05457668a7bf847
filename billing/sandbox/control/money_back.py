"""What happens to a payment outside the API: a refund in the dashboard, and what a bank does.

Answers are Stripe's objects as they are afterwards; refusals have Stripe's shape. Events name no request.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from billing.sandbox.call import Call
from billing.sandbox.control.act import act
from billing.sandbox.control.bodies import T, check_is_near, read
from billing.sandbox.errors import ApiError
from billing.sandbox.objects import Stored
from billing.sandbox.resources import (
    dispute_stages,
    found,
    fraud_warnings,
    of_charges,
    refund_outcomes,
    refunds,
)

Cents = Annotated[int, Field(ge=1)]
Reason = Literal[
    "bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized",
    "duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant",
    "product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized",
]  # fmt: skip


class OfPayment(BaseModel):
    """One of both; the intent's latest charge is meant."""

    model_config = ConfigDict(extra="forbid")
    payment_intent: str | None = None
    charge: str | None = None


class NewRefund(OfPayment):
    """Of all that is left, unless `amount` says less; with a `status` it stays so until it is told otherwise."""

    amount: Cents | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    status: Literal["succeeded", "pending", "requires_action"] | None = None


class Failure(BaseModel):
    model_config = ConfigDict(extra="forbid")
    failure_reason: Literal[
        "lost_or_stolen_card", "expired_or_canceled_card", "charge_for_pending_refund_disputed", "insufficient_funds",
        "declined", "merchant_request", "unknown",
    ] = "expired_or_canceled_card"  # fmt: skip


class NewDispute(OfPayment):
    """Of the whole charge, unless `amount` says less."""

    amount: Cents | None = None
    reason: Reason = "fraudulent"
    is_inquiry: bool = False


class NewWarning(OfPayment):
    fraud_type: Literal[
        "card_never_received", "fraudulent_card_application", "made_with_counterfeit_card", "made_with_lost_card",
        "made_with_stolen_card", "misc", "unauthorized_use_of_card",
    ] = "misc"  # fmt: skip


_REFUND, _FAILURE = TypeAdapter(NewRefund), TypeAdapter(Failure)
_DISPUTE, _WARNING = TypeAdapter(NewDispute), TypeAdapter(NewWarning)
Move = tuple[frozenset[str], Callable[[Call, Stored], None]]
_DISPUTED = frozenset({"needs_response", "under_review"})
_ASKED = frozenset({"warning_needs_response", "warning_under_review"})
MOVES: Mapping[str, Move] = {
    "won": (_DISPUTED | {"lost"}, dispute_stages.win),
    "lost": (_DISPUTED, dispute_stages.lose),
    "warning_closed": (_ASKED, dispute_stages.close_inquiry),
    "escalated": (_ASKED, dispute_stages.escalate),
    "funds_reinstated": (_DISPUTED | {"lost"}, dispute_stages.reinstate),
}
"""From which states a dispute can be moved; banks have been seen to change their mind after a loss."""


async def refund(request: Request) -> JSONResponse:
    """As somebody makes it in the dashboard: without metadata."""
    wanted = await _read(request, _REFUND)
    given = wanted.model_dump(include={"payment_intent", "charge", "amount", "reason"}, exclude_none=True)
    return act(request, given, lambda call: refunds.make(call, of_charges.named(call), wanted.status))


async def succeed(request: Request) -> JSONResponse:
    check_is_near(request)
    return act(request, {}, _succeed)


async def fail(request: Request) -> JSONResponse:
    """Also one that has succeeded: banks send money back for weeks."""
    reason = (await _read(request, _FAILURE)).failure_reason
    return act(request, {}, lambda call: _fail(call, reason))


async def dispute(request: Request) -> JSONResponse:
    wanted = await _read(request, _DISPUTE)
    return act(request, wanted.model_dump(exclude_none=True), lambda call: _dispute(call, wanted))


async def move(request: Request) -> JSONResponse:
    check_is_near(request)
    name = request.path_params["move"]
    if name not in MOVES:
        raise HTTPException(404, f"a dispute can be {', '.join(MOVES)}")
    return act(request, {}, lambda call: _move(call, name))


async def warn(request: Request) -> JSONResponse:
    wanted = await _read(request, _WARNING)
    return act(
        request,
        wanted.model_dump(exclude_none=True),
        lambda call: fraud_warnings.add(call, of_charges.named(call), wanted.fraud_type),
    )


async def _read(request: Request, wanted: TypeAdapter[T]) -> T:
    check_is_near(request)
    return await read(request, wanted)


def _succeed(call: Call) -> Stored:
    stored = found.in_address(call, "refund")
    _check(stored, frozenset({"pending", "requires_action"}), "succeed")
    refund_outcomes.succeed(call, stored)
    return stored


def _fail(call: Call, reason: str) -> Stored:
    stored = found.in_address(call, "refund")
    _check(stored, frozenset({"pending", "requires_action", "succeeded"}), "fail")
    refund_outcomes.fail(call, stored, reason)
    return stored


def _dispute(call: Call, wanted: NewDispute) -> Stored:
    charge = of_charges.named(call)
    for other in call.account.objects.of_charge("dispute", charge.body):
        if other.body["status"] in dispute_stages.OPEN:
            raise ApiError(f"Charge {charge.id} has the dispute {other.id}, which is open.", status=409)
    amount = wanted.amount or charge.body["amount"]
    if amount > charge.body["amount"]:
        raise ApiError(f"Charge {charge.id} was of {charge.body['amount']}, less than {amount}.", param="amount")
    claim = dispute_stages.Claim(amount, wanted.reason, wanted.is_inquiry)
    return dispute_stages.raise_against(call, charge, claim)


def _move(call: Call, name: str) -> Stored:
    stored = found.in_address(call, "dispute")
    origins, work = MOVES[name]
    _check(stored, origins, f"be {name}")
    if name == "funds_reinstated" and not dispute_stages.is_money_gone(stored.body):
        raise ApiError(f"No money of {stored.id} is withdrawn.", status=409)
    work(call, stored)
    return stored


def _check(stored: Stored, origins: frozenset[str], what: str) -> None:
    if stored.body["status"] not in origins:
        sentence = f"{stored.id} cannot {what}: it is {stored.body['status']}."
        raise ApiError(sentence, status=409)
