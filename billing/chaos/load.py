"""Buyers, one after the other at an even pace, whatever becomes of those before them."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from billing.chaos.buyer import Buyer
from billing.chaos.clients import Clients
from billing.chaos.sale import PREFIX
from billing.errors import PermanentError

AT_ONCE = 128
"""Most of them wait for what is broken at the moment."""
SENT_WITHIN = 0.85
"""Of the campaign's time: the last faults strike what is under way."""
PURCHASES_OF_A_PERSON = 4


class NoPlansError(PermanentError):
    """There is nothing on sale."""


@dataclass
class Load:
    clients: Clients
    seed: int
    purchases: int
    seconds: float
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "buyer"))
    _going: list[Future[None]] = field(default_factory=list)
    _plan_ids: tuple[int, ...] = ()

    def begin(self) -> None:
        """Raises NoPlansError."""
        answer = self.clients.insist("GET", f"{PREFIX}/pricing-plans/", None, {})
        self._plan_ids = tuple(plan["id"] for plan in answer.body if plan["plan_type"] == "package")
        if not self._plan_ids:
            raise NoPlansError("no packages are on sale")

    def look(self, elapsed: float) -> None:
        """Send those who should be on their way by now."""
        wanted = min(self.purchases, int(elapsed / (self.seconds * SENT_WITHIN) * self.purchases) + 1)
        while len(self._going) < wanted:
            people = max(1, self.purchases // PURCHASES_OF_A_PERSON)
            buyer = Buyer(self.clients, self.seed, len(self._going), people, self._plan_ids)
            self._going.append(self._pool.submit(buyer.go))

    @property
    def is_done(self) -> bool:
        return len(self._going) == self.purchases and all(buyer.done() for buyer in self._going)

    @property
    def left(self) -> int:
        return self.purchases - sum(buyer.done() for buyer in self._going)

    def raise_what_went_wrong(self) -> None:
        """A buyer who fell over is a defect of the campaign, never a finding."""
        for buyer in self._going:
            if buyer.done() and not buyer.cancelled():
                buyer.result()

    def end(self, over: threading.Event) -> None:
        over.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
