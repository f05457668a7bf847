"""Any order of the same news, with one of them told twice, ends in the state that Stripe is in.

Every order of a scenario has a purchase of its own, and all of them hear their next event in the same batches.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from billing.ids import installation_mark
from billing.messages import AskStripe, EventsWaiting
from billing.models import Purchase, WebhookEvent
from billing.states import DisputeState, EventState, PurchaseState, RefundState
from tests.attack.works import Works
from tests.support.factories import add_purchase, event_body, intent_body, open_now
from tests.support.gateway import FakeGateway
from tests.support.office import intent_of

P, D, R = PurchaseState, DisputeState, RefundState
PROCESSING = ("payment_intent.processing", "processing")
CHALLENGED = ("payment_intent.requires_action", "requires_action")
DECLINED = ("payment_intent.payment_failed", "requires_payment_method")
CANCELED = ("payment_intent.canceled", "canceled")
PAID = ("payment_intent.succeeded", "succeeded")
REFUNDED, REFUND_MADE = ("charge.refunded", ""), ("refund.created", "")
DISPUTED, DISPUTE_CLOSED = ("charge.dispute.created", ""), ("charge.dispute.closed", "")
WITHDRAWN, REINSTATED = ("charge.dispute.funds_withdrawn", ""), ("charge.dispute.funds_reinstated", "")
News = tuple[str, str]
"""The type of an event and, where it is of a payment, the status that the payment had then."""

STANDARD = 14_000
DUE_NOW = "UPDATE stale_mark SET due_at = clock_timestamp() WHERE due_at IS NOT NULL"
OUTCOME = text("""
    SELECT purchase.state, refunded_cents, coalesce(lot.minutes_left, 0) AS left,
        coalesce(lot.minutes_refunded, 0) AS refunded, coalesce(lot.minutes_frozen, 0) AS frozen,
        (SELECT string_agg(state, ' ') FROM refund WHERE purchase_id = purchase.id) AS refunds,
        (SELECT string_agg(state, ' ') FROM dispute WHERE purchase_id = purchase.id) AS disputes,
        (SELECT count(*) FROM hour_entry WHERE source = 'purchase:' || purchase.id || '\\:paid') AS credits
    FROM purchase LEFT JOIN hour_lot AS lot ON lot.purchase_id = purchase.id
    WHERE purchase.request_id = :scenario
""")


@dataclass(frozen=True)
class End:
    """What is the same whatever the order was; hours in minutes, money in cents."""

    state: PurchaseState
    refunded_cents: int = 0
    left: int = 0
    refunded: int = 0
    frozen: int = 0
    refunds: RefundState | None = None
    disputes: DisputeState | None = None
    credits: int = 1


@dataclass(frozen=True)
class Scenario:
    """The last of the news is told twice, by two events. `happen` is what Stripe has become by then."""

    news: Sequence[News]
    end: End
    happen: Sequence[Callable[[FakeGateway, str], object]] = ()

    def orders(self) -> list[tuple[News, ...]]:
        return sorted(set(itertools.permutations([*self.news, self.news[-1]])))


def refund(cents: int) -> Callable[[FakeGateway, str], object]:
    return lambda gateway, intent_id: gateway.refund_elsewhere(intent_id, cents)


def dispute(status: str) -> Callable[[FakeGateway, str], object]:
    """Raised for all that was not given back, and decided."""

    def raise_and_decide(gateway: FakeGateway, intent_id: str) -> None:
        raised = gateway.raise_dispute(intent_id, gateway.refundable_cents(intent_id))
        if status != raised.status:
            gateway.change_dispute(raised.id, status)

    return raise_and_decide


SCENARIOS = {
    "declined and paid": Scenario([PROCESSING, DECLINED, PAID], End(P.COMPLETED, left=600)),
    "declined and canceled": Scenario([PROCESSING, DECLINED, CANCELED], End(P.CANCELLED, credits=0)),
    "canceled and yet paid": Scenario([PROCESSING, CHALLENGED, DECLINED, CANCELED, PAID], End(P.COMPLETED, left=600)),
    "a part refunded": Scenario(
        [DECLINED, PAID, REFUND_MADE, REFUNDED],
        End(P.COMPLETED, 3_500, left=450, refunded=150, refunds=R.SUCCEEDED),
        [refund(3_500)],
    ),
    "wholly refunded": Scenario(
        [PROCESSING, REFUND_MADE, REFUNDED, PAID],
        End(P.REFUNDED, STANDARD, refunded=600, refunds=R.SUCCEEDED),
        [refund(STANDARD)],
    ),
    "disputed": Scenario(
        [PROCESSING, PAID, WITHDRAWN, DISPUTED],
        End(P.COMPLETED, frozen=600, disputes=D.OPEN),
        [dispute("needs_response")],
    ),
    "dispute won": Scenario(
        [PAID, DISPUTED, REINSTATED, DISPUTE_CLOSED],
        End(P.COMPLETED, left=600, disputes=D.WON),
        [dispute("won")],
    ),
    "dispute lost": Scenario(
        [PROCESSING, PAID, DISPUTE_CLOSED, WITHDRAWN],
        End(P.REFUNDED, STANDARD, refunded=600, disputes=D.LOST),
        [dispute("lost")],
    ),
    "a part refunded, the rest lost": Scenario(
        [PAID, DISPUTED, DISPUTE_CLOSED, REFUNDED],
        End(P.REFUNDED, STANDARD, refunded=600, refunds=R.SUCCEEDED, disputes=D.LOST),
        [refund(3_500), dispute("lost")],
    ),
}


@dataclass
class Told:
    """A purchase, the order in which it hears its news, and its dispute where it has one."""

    purchase: Purchase
    order: tuple[News, ...]
    dispute_id: str | None


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_the_news_ends_as_stripe_does(works: Works, name: str) -> None:
    """The duplicate too may come first, last or in between; every tenth purchase asks Stripe after each event."""
    scenario = SCENARIOS[name]
    told = [begun(works, name, scenario, order) for order in scenario.orders()]
    for step in range(len(told[0].order)):
        with works.begin() as session:
            session.add_all(heard(works, one, *one.order[step]) for one in told)
        drain(works)
        ask(works, {one.purchase.id for one in told[::10]})
        works.prove()
    ask(works, {one.purchase.id for one in told})
    works.prove()
    assert outcomes(works, name) == {scenario.end}
    assert waiting(works) == 0


def begun(works: Works, name: str, scenario: Scenario, order: tuple[News, ...]) -> Told:
    student, _ = works.student()
    purchase = add_purchase(works.begin, at=works.now, state=P.PENDING, student_id=student, request_id=name)
    mark, intent_id = installation_mark(works.deployment.installation, purchase.id), intent_of(purchase)
    works.gateway.add_paid(intent_id, STANDARD if PAID in order else 0, mark)
    for happen in scenario.happen:
        happen(works.gateway, intent_id)
    disputes = (one.id for one in works.gateway.disputes.values() if one.payment_intent_id == intent_id)
    return Told(purchase, order, next(disputes, None))


def heard(works: Works, told: Told, kind: str, status: str) -> WebhookEvent:
    """A payment's event carries the payment as it was; others name what to ask about."""
    subject: dict[str, Any] = {"id": told.dispute_id or "re_1", "payment_intent": intent_of(told.purchase)}
    if status:
        subject = intent_body(told.purchase, works.deployment, status=status)
    return event_row(event_body(kind, subject, at=works.now), at=works.now)


def event_row(body: Mapping[str, Any], *, at: datetime) -> WebhookEvent:
    """As the door keeps it, due at once."""
    known = {"stripe_event_id": body["id"], "type": body["type"], "body": orjson.dumps(body)}
    row = WebhookEvent(**known, request_id="request-of-a-test", state=EventState.RECEIVED, received_at=at)
    open_now(row)
    return row


def drain(works: Works) -> None:
    while waiting(works):
        works.work(EventsWaiting())


def ask(works: Works, purchases: set[Any]) -> None:
    """What the news of these purchases marked, and what that marks in turn; who waits for a payment goes on waiting."""
    works.run(DUE_NOW)
    found = text("SELECT id, purchase_id FROM stale_mark WHERE due_at <= clock_timestamp() ORDER BY id")
    while True:
        with works.begin() as session:
            marks = [row.id for row in session.execute(found) if row.purchase_id in purchases]
        if not marks:
            return
        for mark_id in marks:
            works.work(AskStripe(mark_id=mark_id))


def outcomes(works: Works, name: str) -> set[End]:
    """All of them, each once: there should be one."""
    with works.begin() as session:
        return {End(**row) for row in session.execute(OUTCOME, {"scenario": name}).mappings()}


def waiting(works: Works) -> int:
    return int(works.one("SELECT count(*) FROM webhook_event WHERE due_at IS NOT NULL"))
