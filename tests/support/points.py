"""Points at which a worker dies, breaks or sleeps: where they are, by the words of what has happened until then.

The production code has no such points; they are put around its functions, for as long as a test lasts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from billing import ledger, student_links, students, work
from billing.accounts import decisions
from billing.accounts import perform as account_acts
from billing.consumptions import drain as hours
from billing.consumptions import settle as hours_settled
from billing.expiry import sweep
from billing.exports import write as exports
from billing.ledger import expiries
from billing.notifications import send as notifications
from billing.purchases import asking, completion, payment
from billing.receipts import drain as receipts
from billing.receipts import issue, numbers
from billing.refunds import outcomes
from billing.refunds import send as refunds
from billing.staff import perform as staff
from billing.stale import ask
from billing.webhooks import drain as events
from billing.webhooks import settle as events_settled
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases
from tests.support.notes import KeptPost


class Dead(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


@dataclass(frozen=True)
class Point:
    """Before or after a call of one of these functions, the first of a run or a later one.

    `is_inside`: a transaction is open there, with the rows locked.
    """

    name: str
    spots: Sequence[tuple[Any, str]]
    call: int = 1
    is_before: bool = False
    is_inside: bool = False

    def __str__(self) -> str:
        return self.name


class Reached:
    """What is to happen when a point is reached, once for each time that it is told so."""

    def __init__(self, call: int) -> None:
        self._call, self._calls = call, 0
        self._act: Callable[[], object] | None = None

    def do(self, act: Callable[[], object] | None) -> None:
        """From now on calls are counted anew; None: nothing happens."""
        self._act, self._calls = act, 0

    @property
    def is_waiting(self) -> bool:
        return self._act is not None

    def pass_by(self) -> None:
        self._calls += 1
        if self._act is not None and self._calls == self._call:
            act, self._act = self._act, None
            act()


def reach(monkeypatch: pytest.MonkeyPatch, point: Point) -> Reached:
    reached = Reached(point.call)
    for owner, name in point.spots:
        monkeypatch.setattr(owner, name, _around(getattr(owner, name), point, reached))
    return reached


def _around(function: Callable[..., Any], point: Point, reached: Reached) -> Callable[..., Any]:
    def run(*arguments: Any, **more: Any) -> Any:
        if point.is_before:
            reached.pass_by()
        result = function(*arguments, **more)
        if not point.is_before:
            reached.pass_by()
        return result

    return run


inside = partial(Point, is_inside=True)
CLAIMED = Point("after the claim's commit", [(UnrenewedLeases, "held")], is_before=True)
SWEEP_CLAIMED = Point("after the claim's commit", [(sweep, "_claim")])
RESUMED = inside("once its rows are locked again", [(work, "resume")])


def calls(gateway: str) -> Sequence[Point]:
    return [
        Point("before Stripe is asked", [(FakeGateway, gateway)], is_before=True),
        Point("after Stripe's answer", [(FakeGateway, gateway)]),
    ]


POINTS: Mapping[str, Sequence[Point]] = {
    "purchase": [
        inside("before the claim's commit", [(students, "find_or_make")]),
        CLAIMED,
        *calls("create_intent"),
        RESUMED,
        inside("before the record's commit", [(completion, "complete_found")]),
        Point("after the record's commit", [(payment, "repeated")], call=2),
    ],
    "webhook_event": [
        inside("before the claim's commit", [(work, "claim_batch"), (work, "claim_tried")]),
        CLAIMED,
        RESUMED,
        inside("once the hours are credited", [(completion, "complete")]),
        inside("before the commit", [(events_settled, "_end")]),
        Point("after the commit", [(events, "_work_together"), (events, "_work_alone")]),
    ],
    "student_link": [
        CLAIMED,
        RESUMED,
        inside("once the hours are handed over", [(ledger, "transfer_all")]),
        Point("after the commit", [(student_links, "repeated")]),
    ],
    "consumption_act": [
        inside("before the claim's commit", [(work, "claim_batch"), (work, "claim_tried")]),
        CLAIMED,
        RESUMED,
        inside("once the hours are taken", [(ledger, "post")]),
        inside("before the commit", [(hours_settled, "_close")]),
        Point("after the commit", [(hours, "_work_together"), (hours, "_work_alone")]),
    ],
    "staff_act": [
        CLAIMED,
        RESUMED,
        inside("once the hours are given", [(ledger, "credit")]),
        inside("before the commit", [(staff, "_decide")]),
        Point("after the commit", [(staff, "repeated")]),
    ],
    "sweep_run": [
        SWEEP_CLAIMED,
        inside("once a chunk is written off", [(expiries, "expire_next")]),
        Point("after a chunk's commit", [(sweep, "repeated")]),
        Point("after the second chunk's commit", [(sweep, "repeated")], call=2),
        Point("when all is written off", [(sweep.Sweep, "finish")], is_before=True),
        inside("before the commit of its end", [(work, "close")]),
        Point("after the commit of its end", [(sweep.Sweep, "finish")]),
    ],
    "notification": [
        CLAIMED,
        Point("before the post has it", [(KeptPost, "send")], is_before=True),
        Point("after the post took it", [(KeptPost, "send")]),
        inside("before the commit", [(notifications, "_decide")]),
        Point("after the commit", [(notifications, "repeated")], call=2),
    ],
    "refund": [
        inside("before the claim's commit", [(work, "claim_unless_worn_out")]),
        CLAIMED,
        *calls("create_refund"),
        RESUMED,
        inside("once the hours are taken", [(outcomes, "succeed")]),
        Point("after the record's commit", [(refunds, "repeated")], call=2),
    ],
    "stale_mark": [
        CLAIMED,
        *calls("list_refunds"),
        inside("once the refund is taken over", [(outcomes, "succeed")]),
        inside("before the commit", [(work, "close")], call=2),
        Point("after the commit", [(ask, "repeated")], call=2),
    ],
    "receipt": [
        inside("before the claim's commit", [(work, "claim_batch"), (work, "claim_tried")]),
        CLAIMED,
        inside("once its number is drawn", [(numbers, "draw")]),
        inside("once it is printed", [(issue, "page_of")]),
        Point("after the commit", [(receipts, "repeated")]),
    ],
    "account_act": [
        CLAIMED,
        Point("once its customer is made", [(FakeGateway, "create_customer")]),
        Point("after the commit of what will be called", [(account_acts, "repeated")], call=2),
        *calls("create_setup_intent"),
        inside("before the commit", [(decisions, "decide")]),
        Point("after the commit", [(account_acts, "repeated")], call=3),
    ],
    "export": [
        inside("before the claim's commit", [(work, "claim_unless_worn_out")]),
        CLAIMED,
        inside("before its rows are read", [(exports, "read_slice")]),
        Point("once its rows are written", [(exports, "csv_of")]),
        RESUMED,
        inside("before the commit of a part", [(exports, "_keep")]),
        Point("after the commit of a part", [(exports, "repeated")], call=2),
    ],
    "payment_watch": [
        CLAIMED,
        *calls("retrieve_intent"),
        inside("once the hours are credited", [(completion, "complete_found")]),
        Point("after the commit", [(asking, "repeated")], call=2),
    ],
}
"""By the kind of row."""

AFTER_THE_CLAIM: Mapping[str, Point] = {kind: SWEEP_CLAIMED if kind == "sweep_run" else CLAIMED for kind in POINTS}

POISON: Mapping[str, Point] = {
    **AFTER_THE_CLAIM,
    "webhook_event": inside("while its hours are credited", [(completion, "complete")]),
    "consumption_act": inside("while its hours are taken", [(ledger, "post")]),
    "receipt": inside("while it is numbered", [(numbers, "draw")]),
}
"""Where a row kills its worker by what it is: of a batch, only once it is worked."""
