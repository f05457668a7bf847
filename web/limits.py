"""How much may be bought within a while: by a guest's address, by a user, and for an e-mail address.

Counted is what was accepted. A place is taken before a purchase is accepted, so that no two doors give the last one
away, and given back where nothing new came of it.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.config import Settings
from billing.errors import BillingError
from billing.purchases.accept import AcceptedPurchase, Caller, Key, PurchaseRequest, find_earlier
from billing.work.group_commit import GroupCommit
from web.addresses import Address, network_of
from web.counts import Counts, digest, window
from web.errors import HttpError
from web.own_counts import Hold, Window

Earlier = AcceptedPurchase | BillingError | None
Ask = Callable[[Callable[[AsyncConnection], Awaitable[Earlier]]], Awaitable[Earlier]]

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Counted(Protocol):
    """What counts of a wish to buy, however it is paid. Without an e-mail address it is counted for nobody's."""

    @property
    def id(self) -> UUID: ...

    @property
    def key(self) -> Key | None: ...

    @property
    def body_hash(self) -> bytes | None: ...

    @property
    def caller(self) -> Caller | None: ...

    @property
    def buyer_email(self) -> str | None: ...


class PurchaseLimits:
    """The last step before a purchase is accepted, which it guards."""

    def __init__(
        self,
        settings: Settings,
        counts: Counts,
        purchases: GroupCommit[PurchaseRequest, AcceptedPurchase],
        ask: Ask,
    ) -> None:
        self._rules = {
            "address": _rule(settings.purchase_limit_address),
            "user": _rule(settings.purchase_limit_user),
            "email": _rule(settings.purchase_limit_email),
        }
        self._counts = counts
        self._purchases = purchases
        self._ask = ask

    async def submit(self, wish: PurchaseRequest, address: Address | None) -> AcceptedPurchase:
        """Accept a purchase within its limits; raises HttpError 429 beyond them, and whatever acceptance raises."""
        return await self.guard(wish, address, lambda: self._purchases.submit(wish), lambda: self._earlier(wish))

    async def guard(
        self,
        wish: Counted,
        address: Address | None,
        accept: Callable[[], Awaitable[AcceptedPurchase]],
        find: Callable[[], Awaitable[Earlier]],
    ) -> AcceptedPurchase:
        """The same for any way of accepting one; `find` is what was accepted of this wish before."""
        hold = Hold(_what(wish), wish.id.hex, tuple(self._windows(wish, address)))
        if wait := await self._counts.take(hold):
            return await _repeat(find, wait)
        try:
            accepted = await accept()
        except Exception:
            await self._counts.give_back(hold)
            raise
        if accepted.is_replay:
            await self._counts.give_back(hold)
        return accepted

    async def _earlier(self, wish: PurchaseRequest) -> Earlier:
        return await self._ask(lambda connection: find_earlier(connection, wish)) if wish.key else None

    def _windows(self, wish: Counted, address: Address | None) -> Iterator[Window]:
        """Whoever has no address shares a window with all who have none."""
        if wish.caller is None:
            yield self._window("address", network_of(address) if address else "")
        else:
            yield self._window("user", wish.caller.sub)
        if wish.buyer_email is not None:
            yield self._window("email", wish.buyer_email)

    def _window(self, kind: str, whose: str) -> Window:
        most, seconds = self._rules[kind]
        return window(kind, whose, most, seconds)


async def _repeat(find: Callable[[], Awaitable[Earlier]], wait: float) -> AcceptedPurchase:
    """Who repeats a wish asks for nothing new: he gets his answer, however much was bought."""
    earlier = await find()
    if isinstance(earlier, BillingError):
        raise earlier
    if earlier is None:
        raise _beyond(math.ceil(wait))
    return earlier


def _what(wish: Counted) -> str:
    """The same request under the same key is one purchase, however often and wherever it arrives."""
    if wish.key is None or wish.body_hash is None:
        return wish.id.hex
    return digest("\0".join((*wish.key, wish.body_hash.hex())))


def _rule(limit: str) -> tuple[int, int]:
    most, _, unit = limit.partition("/")
    return int(most), SECONDS[unit]


def _beyond(seconds: int) -> HttpError:
    message = f"So much was bought within a short time; the next purchase is possible in {seconds} seconds."
    return HttpError(429, "rate_limit_error", message, headers={"Retry-After": str(seconds)})
