"""Accepting purchases: one statement for all requests that wait, each with its own answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import BillingError
from billing.plans import PlanOnSale
from billing.states import PurchaseState


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked, as the token says; None where a guest did."""

    sub: str
    email: str | None
    email_verified: bool


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """A validated wish to buy. `scope` is the caller's `sub`, or a guest's normalised e-mail, each with a prefix."""

    id: UUID
    scope: str
    idempotency_key: str | None
    body_hash: bytes | None
    plan_id: int
    expected_price_cents: int | None
    buyer_name: str
    buyer_email: str
    caller: Caller | None
    request_id: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class AcceptedPurchase:
    """A committed row: the new one, or the one that an earlier request with this key made."""

    id: UUID
    state: PurchaseState
    plan: PlanOnSale
    is_replay: bool
