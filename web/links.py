"""A verified caller who comes by gets what guests bought for the address: noted here, done by a worker.

The first call waits for it, so that its answer already shows everything; for a while after that nobody asks again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.clock import utc_now
from billing.ids import new_id
from billing.messages import LinkStudent, Message
from billing.student_links import Need, is_link_followed, link_need, request_link
from web.auth import Identity

T = TypeVar("T")


class Ask(Protocol):
    """One read, or one act in a transaction, at the database."""

    async def __call__(self, query: Callable[[AsyncConnection], Awaitable[T]], /) -> T: ...


KNOWN_SECONDS = 30.0
MOST_KNOWN = 10_000
PATIENCE_SECONDS = 1.0
LOOK_EVERY_SECONDS = 0.03


class Links:
    def __init__(self, ask: Ask, change: Ask, send: Callable[[Message], None]) -> None:
        self._ask, self._change, self._send = ask, change, send
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def greet(self, identity: Identity, request_id: str) -> None:
        """Raises DatabaseUnavailableError, as what the caller came for would."""
        email = identity.verified_email
        if email is None or self._is_known((identity.sub, email)):
            return
        need = await self._ask(lambda connection: link_need(connection, external_id=identity.sub, email=email))
        if need is not Need.NONE:
            link_id = await self._note(identity, email, request_id)
            if need is Need.HAND_OVER:
                await self._wait_for(link_id)
        self._know((identity.sub, email))

    async def _note(self, identity: Identity, email: str, request_id: str) -> UUID:
        link_id = await self._change(
            lambda connection: request_link(
                connection,
                link_id=new_id(),
                external_id=identity.sub,
                email=email,
                name=identity.name,
                request_id=request_id,
                now=utc_now(),
            )
        )
        self._send(LinkStudent(link_id=link_id))
        return link_id

    async def _wait_for(self, link_id: UUID) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            if await self._ask(lambda connection: is_link_followed(connection, link_id)):
                return

    def _is_known(self, who: tuple[str, str]) -> bool:
        return time.monotonic() < self._known.get(who, 0.0)

    def _know(self, who: tuple[str, str]) -> None:
        self._known[who] = time.monotonic() + KNOWN_SECONDS
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
