"""The door's one ear on the channel of changes. What it misses, the look each second finds."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from billing.messages import Change

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.subscription")

SOCKET_SECONDS = 2.0
SILENCE_SECONDS = 5.0
"""After so long without a word the server is asked whether it is there, and after as long again it is left."""

PAUSE_SECONDS = 0.5


class Subscription:
    """Tells all `hearers` the ids of what changed, for as long as it is open and Valkey can be reached."""

    def __init__(self, url: str, *hearers: Callable[[Sequence[str]], None]) -> None:
        self._url = url
        self._hearers = hearers
        self._task: asyncio.Task[None] | None = None
        self.is_live: bool | None = None
        """None before the first try."""

    def open(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                self._note(is_live=False, error=type(error).__name__)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        """Ends with an error, however long it went well."""
        client = Redis.from_url(
            self._url,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        async with client as valkey, valkey.pubsub() as channel:
            await channel.subscribe(Change.channel)
            while True:
                self._take(await _next(channel))

    def _take(self, message: dict[str, Any]) -> None:
        self._note(is_live=True)
        if message["type"] == "message":
            ids = message["data"].decode(errors="replace").split()
            for hear in self._hearers:
                hear(ids)

    def _note(self, *, is_live: bool, **facts: str) -> None:
        if is_live and not self.is_live:
            log.info("changes_heard")
        elif not is_live and self.is_live is not False:
            log.warning("changes_not_heard", **facts)
        self.is_live = is_live


async def _next(channel: Any) -> dict[str, Any]:
    """Raises TimeoutError where the server says nothing even when it is asked: the line may be dead."""
    for is_asked in (False, True):
        message: dict[str, Any] | None = await channel.get_message(timeout=SILENCE_SECONDS)
        if message is not None:
            return message
        if not is_asked:
            await channel.ping()
    raise TimeoutError("no word from the server")
