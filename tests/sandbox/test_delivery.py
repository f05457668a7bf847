"""Events reach the webhook as Stripe's do: signed, at least once, in no order that one may count on."""

import time

import pytest
import stripe

from tests.sandbox.running import WEBHOOK_SECRET, Receiver, Sandbox, until


def test_an_event_is_delivered_with_a_signature_that_stripes_library_accepts(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    intent = sandbox.new_intent()
    post = receiver.wait_for("payment_intent.created", intent.id)
    event = sandbox.stripe.construct_event(post.body, post.signature, WEBHOOK_SECRET)
    assert event.data.object["id"] == intent.id
    with pytest.raises(stripe.SignatureVerificationError):
        sandbox.stripe.construct_event(post.body, post.signature, "whsec_of_last_year")


def test_what_is_delivered_is_what_is_listed(sandbox: Sandbox, receiver: Receiver) -> None:
    intent = sandbox.new_intent()
    post = receiver.wait_for("payment_intent.created", intent.id)
    assert post.event["pending_webhooks"] == 1
    until(lambda: sandbox.v1.events.retrieve(post.event["id"]).pending_webhooks == 0, "the delivery is settled")
    assert {**post.event, "pending_webhooks": 0} == sandbox.v1.events.retrieve(post.event["id"]).to_dict()


def test_an_event_that_is_not_taken_is_sent_again_signed_anew(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.next_statuses = [500]
    intent = sandbox.new_intent()
    until(lambda: len(receiver.about(intent.id)) == 2, "the second attempt")
    first, second = receiver.posts
    assert first.body == second.body
    assert first.signature != second.signature
    assert 0.9 < second.at - first.at < 5
    until(lambda: sandbox.ask("deliveries")["delivered"] == 1, "the delivery is settled")


def test_a_delivery_under_way_is_pending_and_listed_as_not_delivered(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("delivery", {"paused": True})
    sandbox.new_intent()
    assert sandbox.ask("deliveries") == {"pending": 1, "delivered": 0, "dropped": 0, "abandoned": 0}
    [event] = sandbox.v1.events.list({"delivery_success": False}).data
    assert event.pending_webhooks == 1
    assert sandbox.v1.events.list({"delivery_success": True}).data == []
    assert receiver.posts == []
    sandbox.tell("delivery", {"paused": False})
    until(lambda: len(sandbox.v1.events.list({"delivery_success": True}).data) == 1, "it is delivered")


def test_duplicates_are_the_same_event_signed_each_time(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("delivery", {"duplicates": 2})
    intent = sandbox.new_intent()
    until(lambda: len(receiver.posts) == 3, "three deliveries")
    assert {post.event["id"] for post in receiver.posts} == {receiver.posts[0].event["id"]}
    assert receiver.about(intent.id) == ["payment_intent.created"] * 3


def test_reordered_events_all_arrive(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("delivery", {"reorder_seconds": 0.5, "seed": 3})
    made = [sandbox.new_intent().id for _ in range(20)]
    until(lambda: len(receiver.posts) == 20, "twenty deliveries")
    came = [post.event["data"]["object"]["id"] for post in receiver.posts]
    assert came != made
    assert sorted(came) == sorted(made)


def test_a_delayed_event_comes_later(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("delivery", {"delay_seconds": 0.4})
    began = time.time()
    intent = sandbox.new_intent()
    assert receiver.wait_for("payment_intent.created", intent.id).at - began >= 0.4


def test_lost_events_are_listed_and_never_come(sandbox: Sandbox, receiver: Receiver) -> None:
    """Callers find them by asking for the list, which is what it is for."""
    sandbox.tell("delivery", {"drop_next": 2, "types": ["payment_intent.succeeded"]})
    intents = [sandbox.pay("pm_card_visa").id for _ in range(3)]
    receiver.wait_for("payment_intent.succeeded", intents[2])
    until(lambda: sandbox.ask("deliveries")["pending"] == 0, "everything is settled")
    assert [("payment_intent.succeeded" in receiver.about(intent)) for intent in intents] == [False, False, True]
    assert sandbox.ask("deliveries")["dropped"] == 2
    assert sandbox.event_types(intents[0])[-1] == "payment_intent.succeeded"


def test_a_share_of_events_is_lost_by_the_same_seed(sandbox: Sandbox) -> None:
    lost = []
    for _ in range(2):
        sandbox.tell("reset")
        sandbox.tell("delivery", {"drop_share": 0.5, "seed": 11})
        for _ in range(20):
            sandbox.new_intent()
        lost.append(sandbox.ask("deliveries")["dropped"])
    assert lost[0] == lost[1]
    assert 0 < lost[0] < 20


def test_an_event_is_sent_again_on_demand_also_many_times_at_once(sandbox: Sandbox, receiver: Receiver) -> None:
    intent = sandbox.new_intent()
    event = receiver.wait_for("payment_intent.created", intent.id).event
    answer = sandbox.tell(f"events/{event['id']}/deliver?times=20&parallel=1")
    assert answer == {"statuses": [200] * 20}
    assert len(receiver.posts) == 21
    assert sandbox.tell(f"events/{event['id']}/deliver") == {"statuses": [200]}
    assert sandbox.http.post("/_sandbox/events/evt_unknown/deliver").status_code == 404


def test_a_line_to_the_webhook_is_used_again(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.tell("delivery", {"parallel": 1})
    for _ in range(10):
        sandbox.new_intent()
    until(lambda: len(receiver.posts) == 10, "ten deliveries")
    assert len({post.peer for post in receiver.posts}) <= 2


def test_a_moved_clock_dates_events_and_signs_them(sandbox: Sandbox, receiver: Receiver) -> None:
    """Whoever hears of them has moved with the sandbox, and takes no signature of another time."""
    sandbox.tell("clock", {"advance_seconds": 40 * 86400})
    intent = sandbox.new_intent()
    post = receiver.wait_for("payment_intent.created", intent.id)
    assert intent.created - time.time() > 39 * 86400
    assert post.event["created"] - time.time() > 39 * 86400
    stripe.WebhookSignature.verify_header(post.body, post.signature, WEBHOOK_SECRET)
    signed_at = int(post.signature.partition(",")[0].removeprefix("t="))
    assert abs(signed_at - time.time() - 40 * 86400) < 60
    assert sandbox.tell("clock", {"reset": True})["offset_seconds"] == 0
