"""Accepting purchases: two statements for all requests that wait, each with its own answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import BillingError, IdempotencyMismatchError, PlanUnknownError, PriceChangedError
from billing.plans import PlanOnSale
from billing.states import PurchaseState

Key = tuple[str, str]


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

    @property
    def key(self) -> Key | None:
        return None if self.idempotency_key is None else (self.scope, self.idempotency_key)


@dataclass(frozen=True, slots=True)
class AcceptedPurchase:
    """A committed row: the new one, or the one that an earlier request with this key made."""

    id: UUID
    state: PurchaseState
    plan: PlanOnSale
    is_replay: bool


# The plan is joined inside the insert: what is sold is what is on sale at that moment, at that price.
ACCEPT = text("""
    WITH made AS (
        INSERT INTO purchase (
            id, scope, idempotency_key, body_hash, request_id, caller_sub, caller_email, caller_email_verified,
            buyer_name, buyer_email, plan_version_id, plan_type, price_cents, currency, minutes, validity_days,
            accepted_at, give_up_at, state, due_at, hint_at
        )
        SELECT asked.id, asked.scope, asked.idempotency_key, asked.body_hash, asked.request_id,
            asked.caller_sub, asked.caller_email, asked.caller_email_verified, asked.buyer_name, asked.buyer_email,
            plan.version_id, plan.plan_type, plan.price_cents, plan.currency, plan.minutes, plan.validity_days,
            asked.accepted_at, asked.accepted_at + CAST(:give_up_after AS interval),
            'queued', clock_timestamp(), clock_timestamp() + interval '2 seconds'
        FROM unnest(
            CAST(:ids AS uuid[]), CAST(:scopes AS text[]), CAST(:keys AS text[]), CAST(:hashes AS bytea[]),
            CAST(:requests AS text[]), CAST(:subs AS text[]), CAST(:caller_emails AS text[]),
            CAST(:verified AS bool[]), CAST(:names AS text[]), CAST(:emails AS text[]), CAST(:plans AS int[]),
            CAST(:prices AS int[]), CAST(:instants AS timestamptz[])
        ) WITH ORDINALITY AS asked (
            id, scope, idempotency_key, body_hash, request_id, caller_sub, caller_email, caller_email_verified,
            buyer_name, buyer_email, plan_id, expected_price_cents, accepted_at, place
        )
        JOIN plan_on_sale AS plan ON plan.plan_id = asked.plan_id
            AND plan.price_cents = coalesce(asked.expected_price_cents, plan.price_cents)
        ORDER BY asked.scope, asked.idempotency_key, asked.place
        ON CONFLICT (scope, idempotency_key) DO NOTHING
        RETURNING id, scope, idempotency_key, body_hash, state, plan_version_id
    )
    SELECT made.*, plan.* FROM made JOIN plan_facts AS plan ON plan.version_id = made.plan_version_id
""")

# For requests that made no row: the rows of their keys, to answer with, and their plans, to say why not.
FIND = text("""
    SELECT purchase.id, purchase.scope, purchase.idempotency_key, purchase.body_hash, purchase.state, plan.*
    FROM unnest(CAST(:scopes AS text[]), CAST(:keys AS text[])) AS asked (scope, idempotency_key)
    JOIN purchase USING (scope, idempotency_key)
    JOIN plan_facts AS plan ON plan.version_id = purchase.plan_version_id
""")

ON_SALE = text("SELECT plan_id, price_cents FROM plan_on_sale WHERE plan_id = ANY(CAST(:plans AS int[]))")


async def accept(
    connection: AsyncConnection, requests: Sequence[PurchaseRequest], *, give_up_after: timedelta
) -> list[AcceptedPurchase | BillingError]:
    """Make a queued purchase of each request, or say why not; the answers are in the order of the requests.

    Answers are AcceptedPurchase, or one of IdempotencyMismatchError, PlanUnknownError and PriceChangedError, looked
    for in that order: a repeat is answered even when its plan is gone.
    """
    firsts = _without_doubles(requests)
    made = (await connection.execute(ACCEPT, _columns(firsts, give_up_after))).mappings().all()
    made_ids = {row["id"] for row in made}
    others = [request for request in requests if request.id not in made_ids]
    rows = _by_key_and_id([*made, *(await _earlier(connection, others) if others else [])])
    on_sale = await _on_sale(connection, others) if others else {}
    return [_answer(request, made_ids, rows, on_sale) for request in requests]


async def find_earlier(
    connection: AsyncConnection, request: PurchaseRequest
) -> AcceptedPurchase | IdempotencyMismatchError | None:
    """What a request is answered whose key came before; None where it did not. Makes nothing."""
    rows = _by_key_and_id(await _earlier(connection, [request]))
    if request.key not in rows:
        return None
    answer = _answer(request, set(), rows, {})
    return answer if isinstance(answer, AcceptedPurchase | IdempotencyMismatchError) else None


def _without_doubles(requests: Iterable[PurchaseRequest]) -> list[PurchaseRequest]:
    """The first of each key and body; another body of a key may be accepted where the first one is refused."""
    firsts: dict[tuple[Key, bytes | None] | UUID, PurchaseRequest] = {}
    for request in requests:
        firsts.setdefault((request.key, request.body_hash) if request.key else request.id, request)
    return list(firsts.values())


def _columns(requests: Sequence[PurchaseRequest], give_up_after: timedelta) -> dict[str, Any]:
    callers = [request.caller for request in requests]
    return {
        "give_up_after": give_up_after,
        "ids": [request.id for request in requests],
        "scopes": [request.scope for request in requests],
        "keys": [request.idempotency_key for request in requests],
        "hashes": [request.body_hash if request.idempotency_key else None for request in requests],
        "requests": [request.request_id for request in requests],
        "subs": [caller and caller.sub for caller in callers],
        "caller_emails": [caller and caller.email for caller in callers],
        "verified": [caller is not None and caller.email_verified for caller in callers],
        "names": [request.buyer_name for request in requests],
        "emails": [request.buyer_email for request in requests],
        "plans": [request.plan_id for request in requests],
        "prices": [request.expected_price_cents for request in requests],
        "instants": [request.accepted_at for request in requests],
    }


async def _earlier(connection: AsyncConnection, requests: Sequence[PurchaseRequest]) -> Sequence[RowMapping]:
    keys = sorted({request.key for request in requests if request.key})
    parameters = {"scopes": [scope for scope, _ in keys], "keys": [key for _, key in keys]}
    return (await connection.execute(FIND, parameters)).mappings().all()


def _by_key_and_id(rows: Iterable[RowMapping]) -> Mapping[Key | UUID, RowMapping]:
    return {(row["scope"], row["idempotency_key"]) if row["idempotency_key"] else row["id"]: row for row in rows}


async def _on_sale(connection: AsyncConnection, requests: Sequence[PurchaseRequest]) -> Mapping[int, RowMapping]:
    plans = [request.plan_id for request in requests]
    rows = (await connection.execute(ON_SALE, {"plans": plans})).mappings()
    return {row["plan_id"]: row for row in rows}


def _answer(
    request: PurchaseRequest,
    made: set[UUID],
    rows: Mapping[Key | UUID, RowMapping],
    on_sale: Mapping[int, RowMapping],
) -> AcceptedPurchase | BillingError:
    row = rows.get(request.key or request.id)
    if row is None:
        return _refusal(request, on_sale.get(request.plan_id))
    is_replay = request.id not in made
    if is_replay and row["body_hash"] != request.body_hash:
        return IdempotencyMismatchError("this Idempotency-Key came with another body before")
    return AcceptedPurchase(row["id"], PurchaseState(row["state"]), PlanOnSale.of(row), is_replay)


def _refusal(request: PurchaseRequest, plan: RowMapping | None) -> BillingError:
    if plan is None:
        return PlanUnknownError("plan_id: no such plan is on sale")
    if request.expected_price_cents not in (None, plan["price_cents"]):
        return PriceChangedError(f"the price is {plan['price_cents'] / 100:.2f} now")
    return PlanUnknownError("plan_id: the plan has just left the sale")
