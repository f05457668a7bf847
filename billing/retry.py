"""When to try again: seconds inside one call, and the waits between calls that `work.put_off` writes into the row.

Nothing else retries, so two of these never multiply. Randomness is only here: it spreads those that failed together.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_random_exponential

T = TypeVar("T")

TRIES = 3
TRY_SECONDS: Final = (3.0, 10.0)
"""To connect, and to wait for the answer."""
IN_CALL_SECONDS = 40.0
"""A claim is renewed for 60 s: the answer has to be recorded before that."""

AT_ONCE = timedelta(seconds=1)
LONGEST = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Waits:
    """Growing waits in seconds. After the last one follows its repetition without end or, `then_stop`, nothing."""

    seconds: tuple[float, ...]
    then_stop: bool


STRIPE = Waits((1, 2, 4, 4, 4, 8, 16, 30, LONGEST.total_seconds()), then_stop=False)
"""Trouble that passes is over in seconds, and so is the wait after it; in an outage the breaker keeps calls back."""
CROWDED = Waits((1, 2, 4), then_stop=False)
"""Where Stripe itself is asked too much, or another call holds the object: our own rate is halved then, and the object
free in a moment, and so is a row that another transaction has locked. Waits that grow further would only leave places
unused."""
ON_ITS_WAY = Waits((300, 3600, 6 * 3600, 24 * 3600), then_stop=False)
"""For something that Stripe is doing, should the event that ends it be lost."""
EVENT = Waits((1, 5, 30, 120, 600), then_stop=True)
"""For an event about an object that our rows do not know yet; then it is parked."""
HANDLER_ERROR = Waits((1, 4, 15, 60, 300), then_stop=True)
"""For an event whose handler failed; then it is a dead letter."""
MAIL = Waits((10, 60, 300, 1_800, 3_600, 7_200, *(4 * 3_600,) * 32), then_stop=True)
"""For a mail that no server took: after a few quick tries half an hour and more, for four to five days (RFC 5321,
4.5.4.1)."""


def after(waits: Waits, deferrals: int) -> timedelta | None:
    """The wait after so many earlier ones: between 60 and 100 % of the table's."""
    if waits.then_stop and deferrals >= len(waits.seconds):
        return None
    most = waits.seconds[min(deferrals, len(waits.seconds) - 1)]
    return timedelta(seconds=most * random.uniform(0.6, 1))  # noqa: S311  # spreads load, guards nothing


def in_call(call: Callable[[], T], *, on: tuple[type[Exception], ...]) -> T:
    """Call, and on these errors again; the last one is raised. No try begins that could end after IN_CALL_SECONDS."""
    retrying = Retrying(
        retry=retry_if_exception_type(on),
        stop=stop_after_attempt(TRIES) | stop_before_delay(IN_CALL_SECONDS - sum(TRY_SECONDS)),
        wait=wait_random_exponential(multiplier=0.5, max=4),
        reraise=True,
    )
    return retrying(call)
