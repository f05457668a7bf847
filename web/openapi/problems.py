"""Every error that an answer can name: its status, what it means, and what else the answer brings."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from web.openapi.parameters import RETRY_AFTER, told


class Kind(NamedTuple):
    status: int
    message: str
    headers: Mapping[str, Any] = {}


RETRY = told(**{"Retry-After": RETRY_AFTER})

KINDS: Mapping[str, Kind] = {
    "validation_error": Kind(400, "student_info.email: must be an e-mail address"),
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
    "student_unknown": Kind(404, "student: no such student is known"),
    "request_timeout": Kind(408, "The body did not arrive within 10 seconds."),
    "price_changed": Kind(409, "The price of this plan is not the one that was shown."),
    "plan_not_available": Kind(409, "This kind of plan cannot be bought yet."),
    "in_progress": Kind(409, "An earlier request with this key is still being confirmed; try again.", RETRY),
    "invalid_state": Kind(409, "The purchase was paid; it can be refunded, but not cancelled."),
    "invalid_transaction_state": Kind(409, "package 41 is refunded, and only a paid one can be extended"),
    "still_expired": Kind(
        409, "package 41: its hours would still be expired: extend them from now, with `extend_from_now`"
    ),
    "extension_too_long": Kind(409, "package 41: its hours would last for more than 1826 days from now"),
    "extension_too_short": Kind(409, "package 41: its hours last until 2026-04-16T23:00:00.000Z already"),
    "insufficient_balance": Kind(409, "There are not enough hours."),
    "package_expired": Kind(409, "The packages that had hours have expired."),
    "no_packages": Kind(409, "There is no package to take hours from."),
    "no_refundable_hours": Kind(409, "none of its hours are left that could be given back"),
    "refund_exceeds_refundable": Kind(409, "at most 70.00 can be given back"),
    "refund_exceeds_consumption": Kind(409, "More cannot be given back than was taken."),
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
    headers = {name: header for named in error_types for name, header in KINDS[named].headers.items()}
    return {
        "description": " or ".join(f"`{error_type}`" for error_type in error_types),
        "headers": {**told(), **headers},
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Error"},
                        {"properties": {"error_type": {"enum": error_types}}},
                    ]
                },
                "examples": {error_type: {"value": _example(error_type)} for error_type in error_types},
            }
        },
    }


def _example(error_type: str) -> dict[str, Any]:
    message = KINDS[error_type].message
    path, is_field, complaint = message.partition(": ")
    field_errors = {"field_errors": {path: [complaint]}} if is_field and error_type == "validation_error" else {}
    request_id = "0193d5a1c5f07b6b9a4c1a2b3c4d5e6f"
    return {"success": False, "error_type": error_type, "message": message, **field_errors, "request_id": request_id}
