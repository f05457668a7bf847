"""The committed rows of what the platform asks for: bookings together, acts one by one."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.consumptions.accept import AcceptedBooking, BookingRequest, accept
from billing.consumptions.accept_acts import AcceptedAct, ActRequest, accept_act
from billing.errors import BillingError, ConflictError
from billing.messages import HoursWaiting, Message
from billing.work.group_commit import GroupCommit
from web.purchase_reads import Ask

T = TypeVar("T")

TRIES = 4


class HourAcceptance:
    """`change` does something in a transaction of its own."""

    def __init__(self, change: Ask, send: Callable[[Message], None], patience_seconds: float) -> None:
        self._change = change
        self._send = send
        self._bookings = GroupCommit(self._accept, after=self._hint, most=256, patience_seconds=patience_seconds)

    async def book(self, request: BookingRequest) -> AcceptedBooking:
        """Raises the refusals of `billing.consumptions.accept`, or TransientError where nothing was confirmed."""
        return await self._bookings.submit(request)

    async def act(self, request: ActRequest) -> AcceptedAct | None:
        """None where there is no such consumption. Raises as `book` does."""
        accepted = await self._repeated(lambda connection: accept_act(connection, request))
        if accepted is not None and not accepted.is_replay:
            self._send(HoursWaiting())
        return accepted

    async def close(self) -> None:
        await self._bookings.close()

    async def _accept(self, requests: Sequence[BookingRequest]) -> Sequence[AcceptedBooking | BillingError]:
        """A crowd that met another process's booking is not tried again as a whole: each of it is, alone."""
        if len(requests) > 1:
            return await self._change(lambda connection: accept(connection, requests))
        return await self._repeated(lambda connection: accept(connection, requests))

    async def _repeated(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Again where somebody else was faster: what he made is there by then."""
        for _ in range(TRIES - 1):
            try:
                return await self._change(change)
            except ConflictError:
                continue
        return await self._change(change)

    def _hint(self, accepted: Sequence[AcceptedBooking]) -> None:
        if not all(booking.is_replay for booking in accepted):
            self._send(HoursWaiting())
