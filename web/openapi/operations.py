"""Every operation: who may call it, what it takes, and every answer it can give."""

from collections.abc import Sequence
from typing import Any

from web.openapi import answers as shapes
from web.openapi import parameters as given
from web.openapi.accounts import ACCOUNTS
from web.openapi.hours import HOURS
from web.openapi.operation import (
    BEARER,
    NOBODY,
    REPEATED,
    TOKEN,
    USER,
    WAITED,
    WITH_BODY,
    Answer,
    Operation,
    Operations,
    Security,
)
from web.openapi.parameters import told
from web.openapi.receipts import RECEIPTS
from web.openapi.staff import STAFF
from web.openapi.staff_money import STAFF_MONEY
from web.openapi.staff_payments import STAFF_PAYMENTS
from web.openapi.staff_plans import STAFF_PLANS
from web.openapi.staff_system import STAFF_SYSTEM
from web.openapi.staff_webhooks import STAFF_WEBHOOKS
from web.paths import PREFIX
from web.schemas import PurchaseBody

BUYER: Sequence[Security] = (BEARER, {"accessToken": []}, {"accessTokenInQuery": []})

BY_BODY = ("$response.body#/task_id", "$response.body#/access_token")
BY_HEADER = ("$response.body#/task_id", "$response.header.X-Access-Token")
BY_ITSELF = ("$response.body#/task_id", "$request.header.X-Access-Token")


def _links(task_and_token: tuple[str, str]) -> dict[str, Any]:
    task_id, token = task_and_token
    followed = {"path.task_id": task_id, "header.X-Access-Token": token}
    return {
        name: {"operationId": name, "parameters": followed}
        for name in ("readPurchase", "followPurchase", "cancelPurchase")
    }


OF_SOMEBODY = (*TOKEN, "permission_denied", "not_found")
OF_A_BUYER = (*TOKEN, "not_found")

TOLD_LATER = told("Location", "Retry-After", Location=given.LOCATION, Retry_After=given.RETRY_AFTER, **REPEATED)
TOLD_NOW = told("Location", "X-Access-Token", Location=given.LOCATION, X_Access_Token=given.ACCESS_TOKEN, **REPEATED)
KEPT = told("ETag", "Cache-Control", ETag=given.ETAG, Cache_Control=given.ALLOWED_CACHE)
TAGGED = told("ETag", ETag=given.ETAG, **WAITED)
UNCHANGED = "What the caller has is still true."

EVENT = {
    "type": "object",
    "required": ["id", "object", "type"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "object": {"const": "event"},
        "type": {"type": "string", "minLength": 1},
    },
    "examples": [
        {
            "id": "evt_1Q",
            "object": "event",
            "type": "payment_intent.succeeded",
            "data": {"object": {"id": "pi_3Q", "object": "payment_intent"}},
        }
    ],
}
EVENTS_TEXT = "An event for each step: `id`, and `data` with what the status resource showed then, as JSON."

PURCHASES: Operations = {
    ("POST", f"{PREFIX}purchase/initiate/"): Operation(
        "startPurchase",
        "Buy a plan",
        "Accepts the purchase and answers at once, or, with `Prefer`, as soon as its payment can be made. No price, "
        "hours or id of a student is taken from the body. Limited per hour: for guests by address, for users, and "
        "for each e-mail address; repeats of a key and refused requests do not count.",
        {
            201: Answer("Ready in the time that `Prefer` grants.", shapes.Purchase, TOLD_NOW, _links(BY_HEADER)),
            202: Answer("Accepted; follow it.", shapes.PurchaseAccepted, TOLD_LATER, _links(BY_BODY)),
        },
        (*WITH_BODY, *TOKEN, "price_changed", "in_progress", "idempotency_mismatch", "rate_limit_error"),
        "purchases",
        parameters=(given.IDEMPOTENCY_KEY, given.PREFER),
        body=PurchaseBody,
    ),
    ("GET", f"{PREFIX}purchase/{{task_id}}/"): Operation(
        "readPurchase",
        "How a purchase stands",
        "For the caller who made it, and for whoever has its access token. With `Prefer: wait=N` it answers at once "
        "unless the purchase is queued or `If-None-Match` names its present state, and then when that changes.",
        {
            200: Answer("The purchase.", shapes.Purchase, TAGGED, _links(BY_ITSELF)),
            304: Answer(UNCHANGED, None, TAGGED),
        },
        OF_A_BUYER,
        "purchases",
        BUYER,
        (given.TASK_ID, given.PREFER, given.IF_NONE_MATCH),
    ),
    ("GET", f"{PREFIX}purchase/{{task_id}}/events/"): Operation(
        "followPurchase",
        "A purchase as server-sent events",
        "One event for each change, until the purchase is settled; `Last-Event-ID` resumes.",
        {
            200: Answer(EVENTS_TEXT, "text/event-stream"),
            204: Answer("Everything was told: do not connect again.", None),
        },
        OF_A_BUYER,
        "purchases",
        BUYER,
        (given.TASK_ID, given.LAST_EVENT_ID),
    ),
    ("POST", f"{PREFIX}purchase/{{task_id}}/cancel/"): Operation(
        "cancelPurchase",
        "Cancel an unpaid purchase",
        "Wished twice is wished once. With `Prefer` the outcome is waited for.",
        {
            200: Answer("It is cancelled.", shapes.Purchase, told(**WAITED), _links(BY_ITSELF)),
            202: Answer(
                "It is being cancelled.",
                shapes.ChangeAccepted,
                told("Location", "Retry-After", Location=given.LOCATION, Retry_After=given.RETRY_AFTER, **WAITED),
            ),
        },
        (*OF_A_BUYER, "validation_error", "invalid_state"),
        "purchases",
        BUYER,
        (given.TASK_ID, given.IDEMPOTENCY_KEY, given.PREFER),
    ),
}

PLANS: Operations = {
    ("GET", f"{PREFIX}pricing-plans/"): Operation(
        "listPlans",
        "The plans on sale",
        "In the order in which they are shown.",
        {200: Answer("All plans.", [shapes.PlanOnSale], KEPT), 304: Answer(UNCHANGED, None, KEPT)},
        TOKEN,
        "plans",
        parameters=(given.IF_NONE_MATCH,),
    ),
    ("GET", f"{PREFIX}stripe/config/"): Operation(
        "readStripeConfig",
        "What a page needs to take a payment",
        "The public key, and where the script is that takes a card.",
        {200: Answer("The key and the script.", shapes.StripeConfig)},
        TOKEN,
        "plans",
        USER,
    ),
}

BALANCES: Operations = {
    ("GET", f"{PREFIX}student-balance/"): Operation(
        "readBalance",
        "How many hours there are",
        "Sums, packages, and what expires soon.",
        {200: Answer("The balance.", shapes.Balance)},
        OF_SOMEBODY,
        "balance",
        USER,
        (given.EMAIL,),
    ),
    ("GET", f"{PREFIX}student-balance/history/"): Operation(
        "listTransactions",
        "What was bought",
        "The newest first.",
        {200: Answer("A page.", shapes.TransactionPage)},
        OF_SOMEBODY,
        "balance",
        USER,
        given.PAGES,
    ),
    ("GET", f"{PREFIX}student-balance/purchases/"): Operation(
        "listPackages",
        "The packages, and what was taken from them",
        "Those that live longest first.",
        {200: Answer("A page.", shapes.PackagePage)},
        OF_SOMEBODY,
        "balance",
        USER,
        (*given.PAGES, given.ACTIVE_ONLY, given.INCLUDE_CONSUMPTION),
    ),
    ("GET", f"{PREFIX}student-balance/ledger/"): Operation(
        "listEntries",
        "Every movement of hours",
        "The newest first; with `at` also why the balance was what it was.",
        {200: Answer("A page.", shapes.EntryPage)},
        (*OF_SOMEBODY, "validation_error"),
        "balance",
        USER,
        (*given.PAGES, given.AT),
    ),
    ("GET", f"{PREFIX}student-balance/check-booking/"): Operation(
        "checkBooking",
        "Whether a lesson could be booked now",
        "Nothing is taken.",
        {200: Answer("Whether, and why not.", shapes.BookingCheck)},
        (*OF_SOMEBODY, "validation_error"),
        "balance",
        USER,
        (given.EMAIL, given.DURATION_HOURS),
    ),
}

SYSTEM: Operations = {
    ("POST", "/api/finances/webhooks/stripe/"): Operation(
        "receiveStripeEvent",
        "Stripe's deliveries",
        "Answered as soon as the event is committed; repeats too.",
        {200: Answer("Kept.", shapes.WebhookReceived)},
        ("invalid_signature", "validation_error", "payload_too_large"),
        "stripe",
        (NOBODY,),
        (given.STRIPE_SIGNATURE,),
        EVENT,
    ),
    ("GET", "/healthz"): Operation(
        "live",
        "Whether the process answers",
        "It looks at nothing else.",
        {200: Answer("It does.", shapes.Live)},
        (),
        "system",
        (NOBODY,),
    ),
    ("GET", "/readyz"): Operation(
        "ready",
        "Whether it can do its work",
        "With PostgreSQL, its migrations, and no work that waits for too long.",
        {200: Answer("It can.", shapes.Ready), 503: Answer("It cannot.", shapes.Ready)},
        TOKEN,
        "system",
    ),
    ("GET", "/metrics"): Operation(
        "readMetrics",
        "Figures for Prometheus",
        "Of the whole service, the same from every door: work that waits and what gave up, by kind, how all of it "
        "runs, and the last proof of the ledger. For the machine itself, for the networks of METRICS_ALLOW and for the "
        "role `service`.",
        {200: Answer("The text format, version 0.0.4.", "text/plain", told())},
        (*TOKEN, "permission_denied"),
        "system",
    ),
    ("GET", "/api/finances/openapi.json"): Operation(
        "readDocument",
        "This document",
        "OpenAPI 3.1.",
        {200: Answer("The document.", "application/json", KEPT), 304: Answer(UNCHANGED, None, KEPT)},
        TOKEN,
        "system",
        parameters=(given.IF_NONE_MATCH,),
    ),
    ("GET", "/api/finances/docs"): Operation(
        "readPage",
        "This document as a page",
        "Nothing on it is loaded from elsewhere.",
        {200: Answer("The page.", "text/html", KEPT), 304: Answer(UNCHANGED, None, KEPT)},
        TOKEN,
        "system",
        parameters=(given.IF_NONE_MATCH,),
    ),
}

OPERATIONS: Operations = {
    **PURCHASES,
    **PLANS,
    **BALANCES,
    **RECEIPTS,
    **ACCOUNTS,
    **HOURS,
    **STAFF,
    **STAFF_MONEY,
    **STAFF_PAYMENTS,
    **STAFF_PLANS,
    **STAFF_WEBHOOKS,
    **STAFF_SYSTEM,
    **SYSTEM,
}
