"""The lane of a call to Stripe is that of the message which is being worked."""

from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from celery import Celery

from billing.brakes.lanes import Lane, current_lane, enter_lane_of
from billing.config import Settings
from billing.ids import new_id
from billing.messages import QUEUES, AskStripe, Message, PreparePayment, ReadEvents, SendRefund
from tests.support.hints import KeptHints
from workers import runtime

Perform = Callable[..., None]


@pytest.fixture
def perform(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Perform]:
    monkeypatch.setattr(runtime, "BrokerHints", lambda _settings: KeptHints())
    runtime.prepare(settings, slots=1)
    app = Celery(set_as_current=False)
    app.finalize()

    def run(kind: type[Message], **arguments: Any) -> None:
        app.tasks[kind.task].run(**arguments)

    yield run
    runtime.dispose()


@pytest.mark.parametrize(
    ("kind", "arguments", "use_case", "lane"),
    [
        (PreparePayment, {"purchase_id": str(new_id())}, "payment.prepare_payment", Lane.PURCHASE),
        (SendRefund, {"refund_id": str(new_id())}, "send_refund", Lane.WEBHOOK),
        (AskStripe, {"mark_id": 1}, "ask_stripe", Lane.WEBHOOK),
        (ReadEvents, {}, "read_events", Lane.MAINTENANCE),
    ],
)
def test_a_task_calls_in_the_lane_of_its_queue(
    perform: Perform,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Message],
    arguments: dict[str, Any],
    use_case: str,
    lane: Lane,
) -> None:
    """A buyer's call goes before everything else, and a night's comparison after it; the next task starts anew."""
    seen: list[Lane] = []

    def look(*_: object, **__: object) -> list[Message]:
        seen.append(current_lane())
        return []

    monkeypatch.setattr(f"workers.tasks.{use_case}", look)
    perform(kind, **arguments)
    assert seen == [lane]
    assert current_lane() is Lane.MAINTENANCE


@pytest.mark.parametrize("queue", QUEUES)
def test_only_what_a_buyer_waits_for_goes_first(queue: str) -> None:
    """A queue that is new goes in the middle: it delays no buyer, and does not wait behind a reconciliation."""
    context = copy_context()
    context.run(enter_lane_of, queue)
    lane = context.run(current_lane)
    assert (lane is Lane.PURCHASE) == (queue == "purchases")
    assert (lane is Lane.MAINTENANCE) == (queue == "maintenance")
