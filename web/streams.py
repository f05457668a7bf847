"""A purchase as a stream of server-sent events (WHATWG HTML, "Server-sent events"): one for each step, then the end.

The id of an event is the serial of its step. While a purchase is queued, trouble at Stripe can change it without a
step; such an event's id has a mark of the trouble behind the serial, so that a resumed stream neither repeats nor
loses it.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from billing.errors import TransientError
from billing.reads.purchases import PurchaseView
from billing.states import PurchaseState
from web.door import Door
from web.errors import unavailable
from web.purchase_resource import PurchaseResource
from web.waiting import Follower, Waiting, hung_up

MOST_STREAMS = 1_000
STREAM_SECONDS = 600.0
PULSE_SECONDS = 15.0

START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),  # a proxy that collects before it passes on would hold events back
    ],
}
RECONNECT = b"retry: 2000\n\n"
PULSE = b": still here\n\n"

EVENT_ID = re.compile(r"([0-9]{1,19})(-[0-9a-f]{8})?")


class PurchaseEvents:
    """The route, as a plain ASGI endpoint: it follows the purchase for as long as it answers."""

    def __init__(self, door: Door) -> None:
        self._waiting = door.waiting
        self._resource = PurchaseResource(door)
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        with self._waiting.following(scope["path_params"]["task_id"]) as follower:
            purchase = await self._resource.of_its_buyer(request, follower)
            told = request.headers.get("last-event-id")
            if purchase.is_final and not list(unseen(purchase, told)):
                await Response(status_code=204)(scope, receive, send)  # which ends a browser's reconnecting
                return
            with self._place():
                await send(START)
                await _run(_Stream(send, follower, self._waiting, self._resource, told), receive, request.method)
                await send({"type": "http.response.body"})

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._open >= MOST_STREAMS:
            raise unavailable("So many purchases are followed right now that this one has to wait; try again.")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class _Stream:
    """What one caller was told, and what is still to be told."""

    def __init__(
        self, send: Send, follower: Follower, waiting: Waiting, resource: PurchaseResource, told: str | None
    ) -> None:
        self._send = send
        self._follower = follower
        self._waiting = waiting
        self._resource = resource
        self._told = told
        self._last_word_at = 0.0

    async def tell(self) -> None:
        """Every change, until there will be none any more or the process is to end."""
        await self._say(RECONNECT)
        while (purchase := self._follower.seen) is not None:
            for event_id, state in unseen(purchase, self._told):
                data = orjson.dumps(self._resource.content(state))
                await self._say(b"id: %s\ndata: %s\n\n" % (event_id.encode(), data))
                self._told = event_id
            if purchase.is_final or not await self._news():
                return
            with suppress(TransientError):  # what could not be read now is news again
                await self._follower.read()

    async def _news(self) -> bool:
        """Wait for news, with a word every now and then, so that no proxy takes the line for dead; False at the end."""
        while not self._waiting.is_over:
            silence = time.monotonic() - self._last_word_at
            if await self._follower.news(max(0.0, PULSE_SECONDS - silence)):
                return not self._waiting.is_over
            await self._say(PULSE)
        return False

    async def _say(self, words: bytes) -> None:
        self._last_word_at = time.monotonic()
        await self._send({"type": "http.response.body", "body": words, "more_body": True})


async def _run(stream: _Stream, receive: Receive, method: str) -> None:
    """Until all is told, the caller hangs up, or it has lasted long enough: the caller then resumes anew."""
    if method == "HEAD":
        return
    telling, gone = asyncio.create_task(stream.tell()), asyncio.create_task(hung_up(receive))
    try:
        await asyncio.wait({telling, gone}, timeout=STREAM_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
    finally:
        telling.cancel()
        gone.cancel()


def unseen(purchase: PurchaseView, told: str | None) -> Iterator[tuple[str, PurchaseView]]:
    """Ids and states of what the caller was not told yet; an id that is none of this purchase's says nothing."""
    serials = [step.serial for step in purchase.timeline]
    given = EVENT_ID.fullmatch(told or "")
    seen = int(given[1]) if given and int(given[1]) in serials else None
    first = 0 if seen is None else serials.index(seen) + 1
    if first == len(serials) and _event_id(purchase) != told:
        first -= 1  # the step is known, but not what came since without one
    for place in range(first, len(serials)):
        state = purchase.as_of(place)
        yield _event_id(state), state


def _event_id(purchase: PurchaseView) -> str:
    serial = purchase.timeline[-1].serial
    if purchase.state is not PurchaseState.QUEUED or purchase.error_type is None:
        return str(serial)
    trouble = f"{purchase.error_type}: {purchase.error_message}"
    return f"{serial}-{blake2b(trouble.encode(), digest_size=4).hexdigest()}"
