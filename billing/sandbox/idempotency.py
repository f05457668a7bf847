"""Repeats of a POST under one key get the first answer, whatever it was.

Pages: "Idempotent requests" of Stripe's API reference, "Advanced error handling" of its documentation.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from billing.sandbox.account import Account
from billing.sandbox.answers import Answer
from billing.sandbox.errors import ApiError

KEPT_SECONDS = 24 * 3600
_LONGEST_KEY = 255
_TYPE = "idempotency_error"


@dataclass(frozen=True)
class Claim:
    """What a key stands for: one endpoint and its parameters."""

    key: str
    endpoint: str
    fingerprint: str
    request_id: str

    @classmethod
    def of(cls, key: str, endpoint: str, params: dict[str, Any], request_id: str) -> "Claim":
        written = orjson.dumps(params, option=orjson.OPT_SORT_KEYS)
        return cls(key, endpoint, hashlib.blake2b(written, digest_size=16).hexdigest(), request_id)


class Idempotency:
    def __init__(self, account: Account) -> None:
        self._account = account
        self._in_flight: set[str] = set()

    def forget(self) -> None:
        """Requests under way keep their hold on the set that is left to them."""
        self._in_flight = set()

    @contextmanager
    def hold(self, claim: Claim | None) -> Iterator[Answer | None]:
        """Gives the earlier answer, if there was one; while it is held, another request with the key is a conflict."""
        if claim is None:
            yield None
            return
        if len(claim.key) > _LONGEST_KEY:
            raise ApiError(f"Idempotency keys can have up to {_LONGEST_KEY} characters.", param="idempotency_key")
        in_flight = self._in_flight
        if claim.key in in_flight:
            raise _in_use(claim.key)
        in_flight.add(claim.key)
        try:
            yield self._earlier(claim)
        finally:
            in_flight.discard(claim.key)

    def keep(self, claim: Claim | None, answer: Answer) -> None:
        if claim is None:
            return
        self._account.database.run(
            "INSERT OR REPLACE INTO idempotency (key, endpoint, fingerprint, status, body, request_id, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            claim.key,
            claim.endpoint,
            claim.fingerprint,
            answer.status,
            answer.body,
            claim.request_id,
            self._account.clock.now(),
        )

    def _earlier(self, claim: Claim) -> Answer | None:
        row = self._account.database.row(
            "SELECT endpoint, fingerprint, status, body, request_id FROM idempotency WHERE key = ? AND created > ?",
            claim.key,
            self._account.clock.now() - KEPT_SECONDS,
        )
        if row is None:
            return None
        if row["endpoint"] != claim.endpoint:
            raise _other_use(claim.key, f"for the same endpoint they were first used for ('{row['endpoint']}')")
        if row["fingerprint"] != claim.fingerprint:
            raise _other_use(claim.key, "with the same parameters they were first used with")
        headers = {"Idempotent-Replayed": "true", "Original-Request": row["request_id"]}
        if row["status"] >= 500:
            headers["Stripe-Should-Retry"] = "false"
        return Answer(row["status"], bytes(row["body"]), headers)


def _other_use(key: str, rule: str) -> ApiError:
    sentence = (
        f"Keys for idempotent requests can only be used {rule}. Try using a key other than '{key}' if you meant to "
        "execute a different request."
    )
    return ApiError(sentence, type=_TYPE)


def _in_use(key: str) -> ApiError:
    sentence = (
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later."
    )
    return ApiError(sentence, status=409, type=_TYPE, code="idempotency_key_in_use")
