"""From the front door to the hours, through every process, as a buyer goes."""

import threading
from collections.abc import Callable

import httpx2
import pytest
import stripe

from billing.ids import new_id
from tests.support.stack import PREFIX, WEBHOOKS, Stack, eventually


def address() -> str:
    return f"{new_id().hex[:12]}@example.com"


def test_hours_are_bought_paid_and_credited(stack: Stack) -> None:
    """The whole way: a secret from a worker, a payment at Stripe, an event, ten hours."""
    email = address()
    accepted = stack.buy(email)
    pending = stack.wait_for(accepted, "pending")
    assert pending["client_secret"].startswith(pending["payment_intent_id"])
    stack.pay(pending)
    done = stack.wait_for(accepted, "completed")
    assert done["client_secret"] is None
    assert [step["step"] for step in done["timeline"]] == ["accepted", "intent_created", "paid", "credited"]
    assert stack.hours(email) == "10.00"


def test_a_declined_card_may_be_followed_by_a_good_one(stack: Stack) -> None:
    email = address()
    accepted = stack.buy(email)
    pending = stack.wait_for(accepted, "pending")
    with pytest.raises(stripe.CardError):
        stack.pay(pending, "pm_card_chargeDeclined")
    failed = stack.wait_for(accepted, "failed")
    assert failed["error_type"] == "card_error"
    assert failed["client_secret"] is not None
    stack.pay(failed)
    stack.wait_for(accepted, "completed")
    assert stack.hours(email) == "10.00"


def test_the_same_key_gives_the_same_task(stack: Stack) -> None:
    """A buyer who clicks twice buys once."""
    email = address()
    first, second = (stack.buy(email, **{"Idempotency-Key": f"click-{email}"}) for _ in range(2))
    assert (first["task_id"], first["access_token"]) == (second["task_id"], second["access_token"])


def test_a_purchase_shows_to_its_own_caller_only(stack: Stack) -> None:
    email = address()
    accepted = stack.buy(email, **stack.bearer(email, sub=email))
    mine = stack.door.get(accepted["status_url"], headers=stack.bearer(email, sub=email))
    other = stack.door.get(accepted["status_url"], headers=stack.bearer("eve@example.com", sub="eve"))
    nobody = stack.door.get(accepted["status_url"])
    unknown = stack.door.get(f"{PREFIX}/purchase/{new_id()}/")
    assert mine.status_code == 200
    assert {other.status_code, nobody.status_code, unknown.status_code} == {404}
    assert other.json()["error_type"] == unknown.json()["error_type"]


def paid_event(stack: Stack, email: str) -> tuple[bytes, str]:
    """The event of a paid purchase, taken from Stripe's list, and the intent; deliveries wait."""
    stack.control.post("/delivery", json={"paused": True})
    intent_id = stack.wait_for(stack.buy(email), "pending")["payment_intent_id"]
    stack.pay({"payment_intent_id": intent_id})
    answer = httpx2.get(
        f"{stack.sandbox_url}/v1/events",
        params={"type": "payment_intent.succeeded", "limit": 1},
        headers={"Authorization": f"Bearer {stack.settings.stripe_secret_key}"},
    )
    (event,) = answer.json()["data"]
    assert event["data"]["object"]["id"] == intent_id
    return httpx2.Request("POST", "http://x", json=event).read(), intent_id


@pytest.fixture
def quiet(stack: Stack) -> Callable[[str], tuple[bytes, str]]:
    return lambda email: paid_event(stack, email)


@pytest.fixture(autouse=True)
def _deliveries_go_on(stack: Stack) -> None:
    stack.control.post("/delivery", json={"paused": False})


def deliver_at_once(stack: Stack, bodies: list[bytes]) -> list[int]:
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda body=body: answers.append(stack.deliver(body).status_code)) for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_twenty_identical_deliveries_at_once_credit_once(
    stack: Stack, quiet: Callable[[str], tuple[bytes, str]]
) -> None:
    """Every one is acknowledged, one has an effect."""
    email = address()
    body, _ = quiet(email)
    assert deliver_at_once(stack, [body] * 20) == [200] * 20
    eventually(lambda: stack.hours(email) == "10.00", 10)
    settled(stack)
    assert stack.hours(email) == "10.00"


def test_two_events_of_one_payment_at_once_credit_once(stack: Stack, quiet: Callable[[str], tuple[bytes, str]]) -> None:
    email = address()
    body, _ = quiet(email)
    other = body.replace(b'"evt_', b'"evt_other_', 1)
    assert deliver_at_once(stack, [body, other]) == [200, 200]
    eventually(lambda: stack.hours(email) == "10.00", 10)
    settled(stack)
    assert stack.hours(email) == "10.00"


def test_fifty_payments_of_one_student_at_once_give_the_exact_sum(stack: Stack) -> None:
    """No hour is lost between workers that credit one student."""
    email = address()
    purchases = [stack.buy(email) for _ in range(50)]
    pending = [stack.wait_for(accepted, "pending") for accepted in purchases]
    threads = [threading.Thread(target=stack.pay, args=(status,)) for status in pending]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: stack.hours(email) == "500.00", 30, lambda: stack.hours(email))


def test_a_request_id_is_followed_from_the_door_to_stripe(stack: Stack) -> None:
    """One id explains a purchase in every log, and in Stripe's dashboard."""
    request_id = f"trace-{new_id().hex[:8]}"
    pending = stack.wait_for(stack.buy(address(), **{"X-Request-Id": request_id}), "pending")
    intent = stack.stripe.v1.payment_intents.retrieve(pending["payment_intent_id"])
    assert intent.metadata["request_id"] == request_id
    assert request_id in stack.processes["web"].log
    assert request_id in stack.processes["payments"].log


def test_no_secret_or_address_is_in_any_log(stack: Stack) -> None:
    """Logs travel further than databases."""
    email = address()
    pending = stack.wait_for(stack.buy(email), "pending")
    stack.pay(pending)
    eventually(lambda: stack.hours(email) == "10.00", 20)
    token = stack.bearer(email)["Authorization"].removeprefix("Bearer ")
    secrets = [pending["client_secret"], stack.settings.stripe_secret_key, *stack.settings.stripe_webhook_secret, email]
    for name in ("web", "payments", "webhooks"):
        log = stack.processes[name].log
        assert [secret for secret in [*secrets, token] if secret in log] == []


@pytest.mark.parametrize("body", [b"", b"{}", b"garbage \xff", b'{"object": "event"}'])
def test_an_unsigned_delivery_is_refused(stack: Stack, body: bytes) -> None:
    answer = stack.door.post(WEBHOOKS, content=body, headers={"Stripe-Signature": "t=1,v1=00"})
    assert answer.status_code == 400


def test_every_invariant_holds_after_all_of_this(stack: Stack) -> None:
    settled(stack)
    assert stack.scalar("SELECT count(*) FROM violation") == 0
    assert stack.scalar("SELECT count(*) FROM dead_letter") == 0


def settled(stack: Stack) -> None:
    waiting = "SELECT count(*) FROM webhook_event WHERE due_at IS NOT NULL"
    eventually(lambda: stack.scalar(waiting) == 0, 20, lambda: "events are left")
