"""One request to the API: who calls, what for, with which parameters, and whether it was answered before."""

import re
import time
from dataclasses import replace
from typing import Any

from billing.sandbox.account import Account
from billing.sandbox.answers import Answer
from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError, CardDeclined
from billing.sandbox.exchanges import Exchange
from billing.sandbox.expansion import expanded
from billing.sandbox.faults import Faults
from billing.sandbox.idempotency import Claim, Idempotency
from billing.sandbox.keys import Keys, secret_key_required
from billing.sandbox.parameters import Parameters
from billing.sandbox.request_log import Entry, RequestLog
from billing.sandbox.routes import ROUTES, Endpoint, find

GONE = Answer(200, b"", cut="silent")
_VERSION = re.compile(r"\d{4}-\d\d-\d\d(\.\w+)?")


class Api:
    def __init__(self, account: Account, keys: Keys) -> None:
        self.account = account
        self.faults = Faults()
        self.log = RequestLog()
        self._keys = keys
        self._idempotency = Idempotency(account)
        self._parameters = Parameters(endpoint.params for endpoint in ROUTES)
        self._resets = 0

    def reset(self) -> None:
        """Nothing of the old account lives on, not even requests that were waiting in it."""
        self.account.reset()
        self.faults.clear()
        self.log.clear()
        self._idempotency.forget()
        self._resets += 1

    async def answer(self, exchange: Exchange, body: bytes) -> Answer:
        entry = self.log.open(exchange, time.time())
        resets = self._resets
        answer = await self.faults.strike("before", exchange, entry, None)
        if answer is None:
            answer = GONE if self._resets != resets else await self._serve(exchange, body, entry)
        entry.status = None if answer.cut else answer.status
        entry.is_replayed = "Idempotent-Replayed" in answer.headers
        return _signed(exchange, answer)

    async def _serve(self, exchange: Exchange, body: bytes, entry: Entry) -> Answer:
        try:
            endpoint, call, claim = self._read(exchange, body)
            with self._idempotency.hold(claim) as earlier:
                answer = earlier or self._work(endpoint, call, claim)
                resets = self._resets
                struck = await self.faults.strike("after", exchange, entry, answer)
                if struck is not None and struck.is_kept and self._resets == resets:
                    self._idempotency.keep(claim, struck)
                return struck or answer
        except ApiError as error:
            return error.answer()

    def _read(self, exchange: Exchange, body: bytes) -> tuple[Endpoint, Call, Claim | None]:
        """Everything that can be wrong before the work begins; none of it is remembered for the key."""
        caller = self._keys.caller(exchange.headers.get("authorization"))
        if not _VERSION.fullmatch(exchange.api_version):
            raise ApiError(f"Invalid Stripe API version: {exchange.api_version}")
        endpoint, subject = _found(exchange)
        given = exchange.params(body)
        params, secret = _without_secret(given) if caller == "publishable" else (given, None)
        if caller == "publishable" and not (endpoint.is_publishable and secret):
            raise secret_key_required()
        params = self._parameters.validate(endpoint.params, params)
        _check_served(endpoint, params)
        if secret is not None:
            params["client_secret"] = secret
        call = Call(self.account, exchange.origin, params, subject, caller == "publishable")
        key = exchange.idempotency_key
        place = f"{exchange.method} {exchange.path}"
        return endpoint, call, Claim.of(key, place, given, exchange.request_id) if key else None

    def _work(self, endpoint: Endpoint, call: Call, claim: Claim | None) -> Answer:
        try:
            with self.account.database.transaction():
                answer = _performed(endpoint, call)
                self._idempotency.keep(claim, answer)
        except ApiError as error:
            answer = error.answer()
            self._idempotency.keep(claim, answer)
        return answer


def _performed(endpoint: Endpoint, call: Call) -> Answer:
    """A declined card is an answer like any other: what it left behind is committed."""
    try:
        body = endpoint.work(call)
        return Answer.json(expanded(call.account.objects, body, call.params.get("expand", [])))
    except CardDeclined as declined:
        return declined.answer()


def _found(exchange: Exchange) -> tuple[Endpoint, str]:
    found = find(exchange.method, exchange.path.rstrip("/"))
    if found is None:
        sentence = (
            f"Unrecognized request URL ({exchange.method}: {exchange.path}). Please see https://stripe.com/docs or we "
            "can help at https://support.stripe.com/."
        )
        raise ApiError(sentence, status=404)
    return found


def _without_secret(params: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """A browser proves with it which intent is its own; the types of the server-side package do not know it."""
    return {name: value for name, value in params.items() if name != "client_secret"}, params.get("client_secret")


def _check_served(endpoint: Endpoint, params: dict[str, Any]) -> None:
    for name in params:
        if name in endpoint.unserved:
            raise ApiError(f"Stripe takes the parameter {name}, the sandbox does not.", param=name)


def _signed(exchange: Exchange, answer: Answer) -> Answer:
    """The headers that every answer of Stripe has."""
    headers = {"Request-Id": exchange.request_id, "Stripe-Version": exchange.api_version}
    if exchange.idempotency_key:
        headers["Idempotency-Key"] = exchange.idempotency_key
    return replace(answer, headers={**headers, **answer.headers})
