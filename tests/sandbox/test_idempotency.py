"""Repeats of a POST under one key do the work once, by Stripe's rules."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.sandbox.running import Sandbox, client

KEY: Any = {"idempotency_key": "purchase:1"}
ORDER: Any = {"amount": 14000, "currency": "eur"}


def test_a_repeat_gets_the_first_answer_and_does_nothing(sandbox: Sandbox) -> None:
    first, again = [sandbox.v1.payment_intents.create(ORDER, KEY) for _ in range(2)]
    assert again.to_dict() == first.to_dict()
    assert replayed(first) is None
    assert replayed(again) == "true"
    assert len(sandbox.v1.payment_intents.list().data) == 1
    assert sandbox.event_types(first.id) == ["payment_intent.created"]


def test_a_key_stands_for_its_parameters(sandbox: Sandbox) -> None:
    sandbox.v1.payment_intents.create(ORDER, KEY)
    other: Any = {**ORDER, "amount": 7500}
    with pytest.raises(stripe.IdempotencyError) as caught:
        sandbox.v1.payment_intents.create(other, KEY)
    assert caught.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        sandbox.v1.customers.create({}, KEY)


def test_a_declined_card_is_declined_again_without_a_second_try(sandbox: Sandbox) -> None:
    order: Any = {**ORDER, "confirm": True, "payment_method": "pm_card_chargeDeclined"}
    requests = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            sandbox.v1.payment_intents.create(order, KEY)
        requests.append(caught.value)
    assert requests[0].json_body == requests[1].json_body
    assert requests[0].request_id != requests[1].request_id
    assert len(sandbox.v1.charges.list().data) == 1


def test_a_refusal_by_state_is_kept_too(sandbox: Sandbox) -> None:
    intent = sandbox.new_intent(customer=sandbox.v1.customers.create({}).id)
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
            sandbox.v1.payment_intents.confirm(intent.id, {}, KEY)
    assert [entry["is_replayed"] for entry in entries(sandbox, "/confirm")] == [False, True]


def test_a_request_that_was_never_begun_is_not_kept(sandbox: Sandbox) -> None:
    """Stripe saves a result only once the work has begun: the mended request may use the key."""
    mistaken: Any = {**ORDER, "colour": "red"}
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.payment_intents.create(mistaken, KEY)
    assert sandbox.v1.payment_intents.create(ORDER, KEY).status == "requires_payment_method"


def test_a_key_in_use_is_a_conflict_until_the_answer_is_there(sandbox: Sandbox) -> None:
    sandbox.fault({"delay_seconds": 0.4}, "payment_intents$", when="after", times=1)
    order: Callable[[int], object] = lambda _: outcome(sandbox)  # noqa: E731
    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(order, range(6)))
    made = [answer for answer in outcomes if isinstance(answer, str)]
    assert len(made) == 1
    assert [answer for answer in outcomes if isinstance(answer, tuple)] == [(409, "idempotency_key_in_use")] * 5
    assert sandbox.v1.payment_intents.create(ORDER, KEY).id == made[0]


def test_requests_at_once_under_one_key_make_one_intent(sandbox: Sandbox) -> None:
    order: Callable[[int], object] = lambda _: outcome(sandbox)  # noqa: E731
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(order, range(40)))
    assert len({answer for answer in outcomes if isinstance(answer, str)}) == 1
    assert len(sandbox.v1.payment_intents.list().data) == 1


def test_requests_at_once_under_their_own_keys_make_one_intent_each(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: sandbox.new_intent().id, range(80)))
    assert len(set(made)) == 80


def test_a_key_is_forgotten_after_a_day(sandbox: Sandbox) -> None:
    """A purchase that is sent again after a day would be a second one: callers must look before they send."""
    first = sandbox.v1.payment_intents.create(ORDER, KEY)
    sandbox.tell("clock", {"advance_seconds": 24 * 3600 - 5})
    assert sandbox.v1.payment_intents.create(ORDER, KEY).id == first.id
    sandbox.tell("clock", {"advance_seconds": 10})
    assert sandbox.v1.payment_intents.create(ORDER, KEY).id != first.id


def test_a_500_is_what_repeats_of_its_key_get(sandbox: Sandbox) -> None:
    sandbox.fault({"status": 500}, "payment_intents$", when="after", times=1)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            sandbox.v1.payment_intents.create(ORDER, KEY)
        assert caught.value.http_status == 500
    assert caught.value.headers is not None
    assert caught.value.headers["idempotent-replayed"] == "true"
    assert caught.value.headers["stripe-should-retry"] == "false"
    assert len(sandbox.v1.payment_intents.list().data) == 1


def test_events_name_the_request_and_the_key_that_caused_them(sandbox: Sandbox) -> None:
    intent = sandbox.v1.payment_intents.create(ORDER, KEY)
    [event] = sandbox.v1.events.list().data
    assert event.request is not None
    assert event.request.idempotency_key == "purchase:1"
    assert intent.last_response is not None
    assert event.request.id == intent.last_response.request_id


def outcome(sandbox: Sandbox) -> object:
    try:
        return client(sandbox.url).v1.payment_intents.create(ORDER, KEY).id
    except stripe.APIError as error:
        return error.http_status, error.error and error.error.code


def replayed(made: stripe.PaymentIntent) -> str | None:
    assert made.last_response is not None
    headers: dict[str, str] = dict(made.last_response.headers)
    return headers.get("idempotent-replayed")


def entries(sandbox: Sandbox, path: str) -> list[dict[str, Any]]:
    return [entry for entry in sandbox.ask("requests")["requests"] if entry["path"].endswith(path)]
