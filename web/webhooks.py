"""Stripe's deliveries: verified, kept, acknowledged.

A plain ASGI endpoint, because events come in crowds: a request object and a response object would cost as much as the
rest of it.
"""

from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from billing.clock import utc_now
from billing.errors import TransientError
from billing.stripe_events import BadSignatureError, read_event, verify
from billing.webhooks.accept import IncomingEvent
from web.bodies import read_body
from web.door import Door
from web.errors import unavailable

EVENT_BYTES = 1024 * 1024

BODY = b'{"received":true}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}


class StripeWebhook:
    def __init__(self, door: Door, secrets: Sequence[str]) -> None:
        self._door = door
        self._secrets = secrets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, EVENT_BYTES)
        now = utc_now()
        verify(body, _signature(scope), self._secrets, now=now)
        event_id, event_type = read_event(body)
        await self._keep(IncomingEvent(event_id, event_type, body, scope["request_id"], now))
        await send(START)
        await send({"type": "http.response.body", "body": BODY})

    async def _keep(self, event: IncomingEvent) -> None:
        """Whatever kept the event from being committed, Stripe is to send it again."""
        try:
            await self._door.events.submit(event)
        except TransientError as error:
            raise unavailable() from error


def _signature(scope: Scope) -> bytes:
    given = [value for name, value in scope["headers"] if name == b"stripe-signature"]
    if len(given) != 1:
        raise BadSignatureError("one Stripe-Signature header is needed")
    signature: bytes = given[0]
    return signature
