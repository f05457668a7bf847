"""The sandbox can be told to misbehave, before and after the work."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.sandbox.running import SECRET_KEY, Sandbox, client, until

KEY: Any = {"idempotency_key": "purchase:1"}
ORDER: Any = {"amount": 14000, "currency": "eur"}
CREATE = "^/v1/payment_intents$"


def test_an_error_before_the_work_makes_nothing(sandbox: Sandbox) -> None:
    sandbox.fault({"status": 503}, CREATE, times=1)
    with pytest.raises(stripe.APIError) as caught:
        sandbox.v1.payment_intents.create(ORDER, KEY)
    assert caught.value.http_status == 503
    assert sandbox.v1.payment_intents.list().data == []
    assert sandbox.v1.payment_intents.create(ORDER, KEY).status == "requires_payment_method"


LOST = [
    ({"cut": True}, stripe.APIConnectionError),
    ({"cut": "body"}, stripe.APIConnectionError),
    ({"html_200": True}, stripe.APIError),
    ({"status": 502, "body": "<h1>Bad gateway</h1>"}, stripe.APIError),
]


@pytest.mark.parametrize(("do", "error"), LOST)
def test_an_answer_lost_after_the_work_is_there_for_a_repeat(
    sandbox: Sandbox, do: dict[str, object], error: type[stripe.StripeError]
) -> None:
    """The caller cannot know; the key is how it finds out."""
    sandbox.fault(do, CREATE, when="after", times=1)
    with pytest.raises(error):
        sandbox.v1.payment_intents.create(ORDER, KEY)
    [made] = sandbox.v1.payment_intents.list().data
    assert sandbox.v1.payment_intents.create(ORDER, KEY).id == made.id


@pytest.mark.parametrize("cut", [True, "body"])
def test_a_line_cut_before_the_work_makes_nothing(sandbox: Sandbox, cut: object) -> None:
    sandbox.fault({"cut": cut}, CREATE, times=1)
    with pytest.raises(stripe.APIConnectionError):
        sandbox.v1.payment_intents.create(ORDER, KEY)
    assert sandbox.v1.payment_intents.list().data == []


def test_an_answer_that_is_late_times_out_and_the_work_is_done(sandbox: Sandbox) -> None:
    sandbox.fault({"delay_seconds": 0.6}, CREATE, when="after", times=1)
    with pytest.raises(stripe.APIConnectionError):
        client(sandbox.url, read_seconds=0.2).v1.payment_intents.create(ORDER, KEY)
    assert len(sandbox.v1.payment_intents.list().data) == 1


def test_latency_adds_up_and_hits_what_matches_only(sandbox: Sandbox) -> None:
    sandbox.fault({"delay_seconds": 0.15}, CREATE)
    sandbox.fault({"delay_seconds": 0.15}, CREATE, when="after")
    began = time.monotonic()
    intent = sandbox.new_intent()
    assert time.monotonic() - began >= 0.3
    began = time.monotonic()
    sandbox.intent(intent.id)
    assert time.monotonic() - began < 0.15


def test_an_outage_also_swallows_repeats(sandbox: Sandbox) -> None:
    sandbox.v1.payment_intents.create(ORDER, KEY)
    sandbox.fault({"status": 503})
    with pytest.raises(stripe.APIError):
        sandbox.v1.payment_intents.create(ORDER, KEY)
    sandbox.http.delete("/_sandbox/faults")
    assert len(sandbox.v1.payment_intents.list().data) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, stripe.AuthenticationError),
        (403, stripe.PermissionError),
        (409, stripe.APIError),
        (429, stripe.RateLimitError),
        (500, stripe.APIError),
    ],
)
def test_a_status_reaches_the_client_as_its_class(
    sandbox: Sandbox, status: int, error: type[stripe.StripeError]
) -> None:
    sandbox.fault({"status": status, "headers": {"Stripe-Should-Retry": "false"}}, times=1)
    with pytest.raises(error) as caught:
        sandbox.new_intent()
    assert caught.value.http_status == status
    assert caught.value.headers is not None
    assert caught.value.headers["stripe-should-retry"] == "false"


def test_a_500_that_is_not_kept_leaves_the_answer_of_the_work(sandbox: Sandbox) -> None:
    sandbox.fault({"status": 500, "stored": False}, CREATE, when="after", times=1)
    with pytest.raises(stripe.APIError):
        sandbox.v1.payment_intents.create(ORDER, KEY)
    [made] = sandbox.v1.payment_intents.list().data
    assert sandbox.v1.payment_intents.create(ORDER, KEY).id == made.id


def test_a_share_of_requests_fails_the_same_way_for_the_same_seed(sandbox: Sandbox) -> None:
    runs = []
    for _ in range(2):
        sandbox.http.delete("/_sandbox/faults")
        sandbox.fault({"status": 503}, CREATE, share=0.5, seed=7)
        runs.append([is_refused(sandbox) for _ in range(20)])
    assert runs[0] == runs[1]
    assert 0 < sum(runs[0]) < 20


def test_the_plan_shows_how_often_each_rule_struck(sandbox: Sandbox) -> None:
    sandbox.fault({"status": 500}, CREATE, times=2)
    refused = [is_refused(sandbox) for _ in range(3)]
    assert refused == [True, True, False]
    [rule] = sandbox.ask("faults")["rules"]
    assert (rule["struck"], rule["times"]) == (2, 2)


def test_a_rule_that_makes_no_sense_is_refused(sandbox: Sandbox) -> None:
    fault = {"status": 500}
    rules: list[dict[str, object]] = [
        {"do": fault, "colour": 1},
        {"do": {}},
        {"do": fault, "match": {"path": "("}},
        {"do": {**fault, "stored": True}, "when": "before"},
    ]
    for rule in rules:
        assert sandbox.http.post("/_sandbox/faults", json=[rule]).status_code == 400, rule


def test_the_log_tells_every_request_with_its_key_and_fate(sandbox: Sandbox) -> None:
    sandbox.fault({"cut": True}, CREATE, times=1)
    with pytest.raises(stripe.APIConnectionError):
        sandbox.v1.payment_intents.create(ORDER, KEY)
    for _ in range(2):
        sandbox.v1.payment_intents.create(ORDER, KEY)
    entries = sandbox.ask("requests")["requests"]
    told = [(entry["method"], entry["path"], entry["idempotency_key"], entry["status"]) for entry in entries]
    assert told == [("POST", "/v1/payment_intents", "purchase:1", status) for status in (None, 200, 200)]
    assert [entry["is_replayed"] for entry in entries] == [False, False, True]
    assert entries[0]["fault"] == 'before: {"cut":true}'
    sandbox.http.delete("/_sandbox/requests")
    assert sandbox.ask("requests")["requests"] == []


def test_a_reset_leaves_a_new_account(sandbox: Sandbox) -> None:
    sandbox.new_intent()
    sandbox.fault({"status": 500}, "nothing")
    sandbox.tell("clock", {"advance_seconds": 86400})
    sandbox.tell("delivery", {"paused": True})
    sandbox.tell("reset")
    assert sandbox.ask("requests")["requests"] == []
    assert sandbox.v1.payment_intents.list().data == []
    assert sandbox.v1.events.list().data == []
    assert sandbox.ask("faults") == {"rules": []}
    assert sandbox.ask("clock")["offset_seconds"] == 0
    assert sandbox.ask("delivery")["paused"] is False


def test_a_request_that_waits_through_a_reset_does_nothing(sandbox: Sandbox) -> None:
    """The next test's account would have objects that nobody in it made."""
    sandbox.fault({"delay_seconds": 0.3}, CREATE)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(sandbox.v1.payment_intents.create, ORDER, KEY)
        until(lambda: len(sandbox.ask("requests")["requests"]) == 1, "it came")
        sandbox.tell("reset")
        assert isinstance(waiting.exception(), stripe.APIConnectionError)
    assert sandbox.v1.payment_intents.list().data == []


def is_refused(sandbox: Sandbox) -> bool:
    response = sandbox.http.post("/v1/payment_intents", data=ORDER, headers={"Authorization": f"Bearer {SECRET_KEY}"})
    return response.status_code != 200
