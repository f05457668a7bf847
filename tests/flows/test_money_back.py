"""Money that goes back outside of us, through every process: Stripe's events, the workers that ask, the hours."""

import pytest

from billing.clock import utc_now
from billing.ids import new_id
from billing.models import Refund
from billing.refunds.holding import Wish, hold_refund
from billing.refunds.quote import Policy
from tests.support.stack import Stack, eventually


def address() -> str:
    return f"{new_id().hex[:12]}@example.com"


def bought(stack: Stack, email: str) -> dict[str, object]:
    """A paid package, as its buyer sees it."""
    accepted = stack.buy(email)
    stack.pay(stack.wait_for(accepted, "pending"))
    return {**accepted, **stack.wait_for(accepted, "completed")}


def wait_for_hours(stack: Stack, email: str, hours: str) -> None:
    eventually(lambda: stack.hours(email) == hours, 20, lambda: f"wanted {hours}, found {stack.hours(email)}")


def control(stack: Stack, path: str, **body: object) -> dict[str, object]:
    answer = stack.control.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_refund_in_the_dashboard_takes_its_hours(stack: Stack) -> None:
    """Nobody told us but Stripe: half of the money, then half of the hours; all of it, and it is refunded."""
    email = address()
    purchase = bought(stack, email)
    control(stack, "/refunds", payment_intent=purchase["payment_intent_id"], amount=7_000)
    wait_for_hours(stack, email, "5.00")
    control(stack, "/refunds", payment_intent=purchase["payment_intent_id"])
    wait_for_hours(stack, email, "0.00")
    done = stack.wait_for(purchase, "refunded")
    assert [step["step"] for step in done["timeline"]][-2:] == ["refunded", "refunded"]
    assert stack.scalar("SELECT count(*) FROM violation") == 0


def test_a_refund_that_fails_at_the_bank_gives_the_hours_back(stack: Stack) -> None:
    email = address()
    purchase = bought(stack, email)
    refund = control(stack, "/refunds", payment_intent=purchase["payment_intent_id"])
    stack.wait_for(purchase, "refunded")
    control(stack, f"/refunds/{refund['id']}/fail", failure_reason="lost_or_stolen_card")
    stack.wait_for(purchase, "completed")
    assert stack.hours(email) == "10.00"


def test_a_held_refund_is_sent_by_a_worker_though_nobody_hinted_it(stack: Stack) -> None:
    """The hint was lost with the broker; the sweeper finds the row, and Stripe has one refund of it."""
    email = address()
    purchase = bought(stack, email)
    number = stack.scalar("SELECT transaction_id FROM purchase WHERE id = :id", id=purchase["task_id"])
    wish = Wish(new_id(), number, None, "request-of-a-test")
    with stack.begin() as session:
        hold_refund(session, wish, Policy(), now=utc_now())
    stack.wait_for(purchase, "refunded")
    with stack.begin() as session:
        refund = session.get_one(Refund, wish.id)
    listed = stack.stripe.v1.refunds.list({"payment_intent": str(purchase["payment_intent_id"])})
    assert [one.id for one in listed.data] == [refund.stripe_refund_id]
    assert stack.hours(email) == "0.00"


@pytest.mark.parametrize(("verdict", "hours"), [("won", "10.00"), ("lost", "0.00")])
def test_a_dispute_takes_the_hours_out_of_reach_until_it_is_decided(stack: Stack, verdict: str, hours: str) -> None:
    email = address()
    purchase = bought(stack, email)
    dispute = control(stack, "/disputes", payment_intent=purchase["payment_intent_id"])
    wait_for_hours(stack, email, "0.00")
    control(stack, f"/disputes/{dispute['id']}/{verdict}")
    decided = "SELECT count(*) FROM dispute WHERE stripe_dispute_id = :id AND state = :verdict"
    eventually(lambda: stack.scalar(decided, id=dispute["id"], verdict=verdict) == 1, 20)
    assert stack.hours(email) == hours
    assert stack.scalar("SELECT count(*) FROM violation") == 0
