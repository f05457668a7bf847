"""Every error that an answer can name: its status, what it means, and what else the answer brings."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from web.openapi.parameters import RETRY_AFTER, told


class Kind(NamedTuple):
    """`word` is the `error_type` where two kinds share it, with a status each."""

    status: int
    message: str
    headers: Mapping[str, Any] = {}
    word: str | None = None


RETRY = told(**{"Retry-After": RETRY_AFTER})

KINDS: Mapping[str, Kind] = {
    "validation_error": Kind(400, "student_info.email: must be an e-mail address"),
    "plan_unknown": Kind(400, "No plan of that id is on sale."),
    "unknown_host": Kind(400, "The Host of this request is not served here."),
    "bad_request": Kind(400, "This is not a request that can be read."),
    "invalid_signature": Kind(400, "the signature does not fit the body"),
    "authentication_required": Kind(
        401,
        "The token is not valid, or not valid any more.",
        told(**{"WWW-Authenticate": {"description": "Always `Bearer`.", "schema": {"const": "Bearer"}}}),
    ),
    "permission_denied": Kind(403, "Only staff may look at somebody else's balance."),
    "not_found": Kind(404, "There is nothing here."),
    "card_not_found": Kind(404, "There is no such card."),
    "no_subscription": Kind(404, "There is no subscription."),
    "student_unknown": Kind(404, "student: no such student is known"),
    "request_timeout": Kind(408, "The body did not arrive within 10 seconds."),
    "plan_changed": Kind(409, "since version 1 there is version 2 (price_eur 140.00 → 150.00)"),
    "plan_unchanged": Kind(409, "nothing of the plan would change"),
    "price_changed": Kind(409, "The price of this plan is not the one that was shown."),
    "topup_needs_a_package": Kind(409, "a subscription is bought by subscribing, and is no top-up"),
    "no_payment_method": Kind(409, "there is no default card to pay with"),
    "card_expired": Kind(409, "This card has expired."),
    "card_in_use": Kind(409, "The subscription is charged by this card; save another one first."),
    "subscription_ended": Kind(409, "This subscription has ended; a new one may be bought."),
    "already_cancelled": Kind(409, "This subscription ends already."),
    "cancelled_meanwhile": Kind(409, "The end of this subscription was asked for; resume it first."),
    "not_cancelling": Kind(409, "This subscription neither ends nor is paused."),
    "already_paused": Kind(409, "This subscription is paused already."),
    "plan_not_recurring": Kind(409, "Hours are bought once with this plan."),
    "same_plan": Kind(409, "The next period is charged by this plan already."),
    "nothing_due": Kind(409, "No invoice waits for a payment."),
    "card_error": Kind(409, "The card was declined."),
    "declined_authentication_required": Kind(
        409, "The bank wants its customer to confirm this payment.", word="authentication_required"
    ),
    "declined_rate_limit_error": Kind(409, "Stripe was asked too often; try again later.", word="rate_limit_error"),
    "invalid_request_error": Kind(409, "Stripe does not take this request."),
    "api_error": Kind(409, "Stripe had a trouble of its own; try again later."),
    "api_connection_error": Kind(409, "Stripe could not be reached; try again later."),
    "authentication_error": Kind(409, "Payments are unavailable right now; try again later."),
    "in_progress": Kind(409, "An earlier request with this key is still being confirmed; try again.", RETRY),
    "invalid_state": Kind(409, "The purchase was paid; it can be refunded, but not cancelled."),
    "invalid_transaction_state": Kind(409, "package 41 is refunded, and only a paid one can be extended"),
    "still_expired": Kind(
        409, "package 41: its hours would still be expired: extend them from now, with `extend_from_now`"
    ),
    "extension_too_long": Kind(409, "package 41: its hours would last for more than 1826 days from now"),
    "extension_too_short": Kind(409, "package 41: its hours last until 2026-04-16T23:00:00.000Z already"),
    "package_changed": Kind(
        409,
        "package 41: its hours last until 2026-05-16T23:00:00.000Z now, "
        "and not until 2026-04-16T23:00:00.000Z any more",
    ),
    "insufficient_balance": Kind(409, "There are not enough hours."),
    "package_expired": Kind(409, "The packages that had hours have expired."),
    "no_packages": Kind(409, "There is no package to take hours from."),
    "no_refundable_hours": Kind(409, "none of its hours are left that could be given back"),
    "refund_exceeds_refundable": Kind(409, "at most 70.00 can be given back"),
    "payload_too_large": Kind(413, "The body may have 64 KiB at most."),
    "unsupported_media_type": Kind(415, "The body must be application/json."),
    "idempotency_mismatch": Kind(422, "This key was used for another request."),
    "rate_limit_error": Kind(
        429, "So much was bought within a short time; the next purchase is possible in 240 seconds.", RETRY
    ),
    "headers_too_large": Kind(431, "The head may have 32 KiB at most."),
    "internal_error": Kind(500, "Something went wrong on our side; the request id helps us find it."),
    "unavailable": Kind(503, "The service cannot confirm this right now; nothing was lost, try again.", RETRY),
}

EVERYWHERE = ("bad_request", "unknown_host", "request_timeout", "headers_too_large", "internal_error", "unavailable")
"""What a request can be answered with before, or whatever, its route looks at it."""


def problem_answers(error_types: Iterable[str]) -> dict[int, dict[str, Any]]:
    """Responses by status, each with the errors that it can name."""
    statuses: dict[int, list[str]] = {}
    for error_type in dict.fromkeys((*error_types, *EVERYWHERE)):
        statuses.setdefault(KINDS[error_type].status, []).append(error_type)
    return {status: _answer(named) for status, named in sorted(statuses.items())}


def _answer(error_types: list[str]) -> dict[str, Any]:
    words = [KINDS[named].word or named for named in error_types]
    headers = {name: header for named in error_types for name, header in KINDS[named].headers.items()}
    return {
        "description": " or ".join(f"`{word}`" for word in words),
        "headers": {**told(), **headers},
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Error"},
                        {"properties": {"error_type": {"enum": words}}},
                    ]
                },
                "examples": {error_type: {"value": _example(error_type)} for error_type in error_types},
            }
        },
    }


def _example(error_type: str) -> dict[str, Any]:
    message, word = KINDS[error_type].message, KINDS[error_type].word or error_type
    path, is_field, complaint = message.partition(": ")
    field_errors = {"field_errors": {path: [complaint]}} if is_field and error_type == "validation_error" else {}
    request_id = "0193d5a1c5f07b6b9a4c1a2b3c4d5e6f"
    return {"success": False, "error_type": word, "message": message, **field_errors, "request_id": request_id}
