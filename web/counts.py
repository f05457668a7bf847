"""Places in windows as all doors count them together, and, while nobody can be asked for that, as this one does."""

import time
from hashlib import blake2b

from billing.config import Settings
from web.own_counts import Hold, OwnCounts, Window
from web.shared_counts import SharedCounts


class Counts:
    def __init__(self, settings: Settings) -> None:
        self._own = OwnCounts()
        self._shared = SharedCounts(settings.redis_url)

    async def open(self) -> None:
        await self._shared.open()

    async def close(self) -> None:
        await self._shared.close()

    async def take(self, hold: Hold) -> float:
        """Take the places and return 0, or take none and return the seconds until there are some.

        Judged by what this door counted, then by what all did; with Valkey away, the former is all there is.
        """
        if wait := self._own.take(hold, now=time.monotonic()):
            return wait
        wait = await self._shared.take(hold) or 0
        if wait:
            self._own.give_back(hold)
        return wait

    async def give_back(self, hold: Hold) -> None:
        self._own.give_back(hold)
        await self._shared.give_back(hold)


def window(kind: str, whose: str, most: int, seconds: int) -> Window:
    """Neither an address nor an e-mail can be read from its name."""
    return Window(f"{kind}:{digest(whose)}", most, seconds)


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
