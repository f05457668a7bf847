"""Customers and lists, read page by page as the client reads them."""

import pytest
import stripe

from tests.sandbox.running import Sandbox


def test_a_list_is_newest_first_and_says_whether_there_is_more(sandbox: Sandbox) -> None:
    made = [sandbox.new_intent().id for _ in range(5)]
    page = sandbox.v1.payment_intents.list({"limit": 2})
    assert ([intent.id for intent in page.data], page.has_more) == (made[:2:-1], True)
    rest = sandbox.v1.payment_intents.list({"limit": 10, "starting_after": made[3]})
    assert ([intent.id for intent in rest.data], rest.has_more) == (made[2::-1], False)
    newer = sandbox.v1.payment_intents.list({"limit": 2, "ending_before": made[1]})
    assert ([intent.id for intent in newer.data], newer.has_more) == ([made[3], made[2]], True)


def test_the_client_pages_through_everything(sandbox: Sandbox) -> None:
    made = [sandbox.new_intent().id for _ in range(7)]
    found = [intent.id for intent in sandbox.v1.payment_intents.list({"limit": 3}).auto_paging_iter()]
    assert found == made[::-1]


def test_lists_narrow_by_customer_intent_and_time(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({}).id
    theirs, other = sandbox.pay("pm_card_visa", customer=customer), sandbox.pay("pm_card_visa")
    sandbox.tell("clock", {"advance_seconds": 1000})
    later = sandbox.new_intent(customer=customer)
    since = {"gte": later.created}
    assert ids(sandbox.v1.payment_intents.list({"customer": customer})) == [later.id, theirs.id]
    assert ids(sandbox.v1.payment_intents.list({"created": {"gt": theirs.created}})) == [later.id]
    assert ids(sandbox.v1.payment_intents.list({"created": {"lt": later.created}})) == [other.id, theirs.id]
    assert ids(sandbox.v1.payment_intents.list({"created": later.created})) == [later.id]
    assert ids(sandbox.v1.charges.list({"payment_intent": theirs.id})) == [theirs.latest_charge]
    assert ids(sandbox.v1.charges.list({"customer": customer})) == [theirs.latest_charge]
    assert [event.type for event in sandbox.v1.events.list({"created": {"gte": since["gte"]}}).data] == [
        "payment_intent.created"
    ]


def test_events_narrow_by_type(sandbox: Sandbox) -> None:
    sandbox.pay("pm_card_visa")
    types = {event.type for event in sandbox.v1.events.list({"type": "charge.*"}).data}
    assert types == {"charge.succeeded"}
    wanted = ["payment_intent.created", "payment_intent.succeeded"]
    found = sandbox.v1.events.list({"types": wanted}).data
    assert sorted(event.type for event in found) == wanted
    assert sandbox.v1.events.retrieve(found[0].id).id == found[0].id


@pytest.mark.parametrize("limit", [0, 101])
def test_a_page_has_one_to_a_hundred_items(sandbox: Sandbox, limit: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.events.list({"limit": limit})
    assert caught.value.param == "limit"


def test_a_cursor_must_be_an_object_of_the_list(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.events.list({"starting_after": "evt_unknown"})
    assert (caught.value.code, caught.value.param) == ("resource_missing", "starting_after")


def test_lists_expand_their_items(sandbox: Sandbox) -> None:
    sandbox.pay("pm_card_visa")
    [intent] = sandbox.v1.payment_intents.list({"expand": ["data.latest_charge"]}).data
    assert isinstance(intent.latest_charge, stripe.Charge)


def test_a_customer_is_found_by_email_until_deleted(sandbox: Sandbox) -> None:
    ana = sandbox.v1.customers.create({"email": "ana@example.com", "metadata": {"a": "1"}})
    sandbox.v1.customers.create({"email": "bea@example.com"})
    assert ids(sandbox.v1.customers.list({"email": "ana@example.com"})) == [ana.id]
    assert sandbox.v1.customers.delete(ana.id).deleted
    assert ids(sandbox.v1.customers.list({"email": "ana@example.com"})) == []
    assert sandbox.v1.customers.retrieve(ana.id).deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        sandbox.v1.customers.update(ana.id, {"name": "Ana"})
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        sandbox.new_intent(customer=ana.id)


def test_an_update_of_a_customer_tells_what_was_there_before(sandbox: Sandbox) -> None:
    ana = sandbox.v1.customers.create({"email": "ana@example.com", "name": "Ana"})
    sandbox.v1.customers.update(ana.id, {"name": "Ana Maria", "email": "ana@example.com"})
    assert sandbox.event_types(ana.id) == ["customer.created", "customer.updated"]
    [event] = sandbox.v1.events.list({"type": "customer.updated"}).data
    assert event.data.to_dict()["previous_attributes"] == {"name": "Ana"}
    assert sandbox.v1.customers.update(ana.id, {"name": ""}).name is None


def ids(page: "stripe.ListObject[stripe.PaymentIntent] | stripe.ListObject[stripe.Charge] | stripe.ListObject[stripe.Customer]") -> list[str]:  # fmt: skip  # noqa: E501
    return [item.id for item in page.data]
