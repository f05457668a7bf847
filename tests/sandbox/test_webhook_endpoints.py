"""Webhook endpoints, as whoever sets them up by program meets them."""

from typing import Any

import pytest
import stripe

from billing.webhooks.handlers import HANDLERS
from tests.sandbox.contract import differences
from tests.sandbox.running import WEBHOOK_SECRET, Receiver, Sandbox

URL = "https://billing.example.com/api/finances/webhooks/stripe/"


def new_endpoint(sandbox: Sandbox, **params: Any) -> stripe.WebhookEndpoint:
    asked: Any = {"url": URL, "enabled_events": ["charge.refunded", "invoice.paid"], **params}
    return sandbox.v1.webhook_endpoints.create(asked)


def test_an_endpoint_shows_its_secret_when_it_is_made_and_never_again(sandbox: Sandbox) -> None:
    """Who misses it must make a new endpoint; a program that relies on reading it later fails at Stripe only."""
    made = new_endpoint(sandbox, description="Ours", metadata={"a": "b"}, api_version=stripe.api_version)
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert (made.url, made.status, made.livemode) == (URL, "enabled", False)
    assert (made.enabled_events, made.api_version) == (["charge.refunded", "invoice.paid"], stripe.api_version)
    assert (made.description, made.metadata.to_dict()) == ("Ours", {"a": "b"})
    assert differences(stripe.WebhookEndpoint, made.to_dict()) == []
    found = sandbox.v1.webhook_endpoints.retrieve(made.id).to_dict()
    assert differences(stripe.WebhookEndpoint, found) == []
    assert found == {name: value for name, value in made.to_dict().items() if name != "secret"}
    [listed] = sandbox.v1.webhook_endpoints.list().data
    assert listed.to_dict() == found


def test_every_type_that_is_handled_here_can_be_asked_for(sandbox: Sandbox) -> None:
    assert new_endpoint(sandbox, enabled_events=[*HANDLERS]).enabled_events == [*HANDLERS]
    assert new_endpoint(sandbox, enabled_events=["*"]).enabled_events == ["*"]


def test_the_address_that_is_delivered_to_gets_the_secret_that_is_signed_with(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    """So that what is printed there verifies what comes; any other address has a secret of its own."""
    assert new_endpoint(sandbox, url=receiver.url).secret == WEBHOOK_SECRET
    others = {new_endpoint(sandbox).secret for _ in range(3)}
    assert len(others) == 3
    assert WEBHOOK_SECRET not in others


def test_an_endpoint_changes_in_what_is_given_and_keeps_the_rest(sandbox: Sandbox) -> None:
    made = new_endpoint(sandbox, description="Ours", metadata={"a": "b"})
    endpoints = sandbox.v1.webhook_endpoints
    disabled = endpoints.update(made.id, {"disabled": True})
    assert (disabled.status, disabled.enabled_events) == ("disabled", made.enabled_events)
    assert endpoints.update(made.id, {"description": ""}).status == "disabled"
    changed = endpoints.update(
        made.id,
        {"disabled": False, "enabled_events": ["invoice.paid"], "url": f"{URL}v2/", "metadata": {"a": "", "c": "d"}},
    )
    assert (changed.status, changed.enabled_events, changed.url) == ("enabled", ["invoice.paid"], f"{URL}v2/")
    assert (changed.description, changed.metadata.to_dict()) == (None, {"c": "d"})
    assert changed.to_dict() == endpoints.retrieve(made.id).to_dict()
    assert sandbox.event_types(made.id) == []


def test_an_endpoint_that_is_deleted_is_gone(sandbox: Sandbox) -> None:
    made, other = new_endpoint(sandbox), new_endpoint(sandbox)
    endpoints = sandbox.v1.webhook_endpoints
    assert endpoints.delete(made.id).to_dict() == {"id": made.id, "object": "webhook_endpoint", "deleted": True}
    assert [one.id for one in endpoints.list().data] == [other.id]
    for ask in (endpoints.retrieve, endpoints.delete, lambda gone: endpoints.update(gone, {"disabled": True})):
        with pytest.raises(stripe.InvalidRequestError, match="No such webhook endpoint") as caught:
            ask(made.id)
        assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_endpoints_are_read_page_by_page(sandbox: Sandbox) -> None:
    made = [new_endpoint(sandbox).id for _ in range(5)]
    page = sandbox.v1.webhook_endpoints.list({"limit": 2})
    assert ([one.id for one in page.data], page.has_more) == (made[:2:-1], True)
    assert [one.id for one in page.auto_paging_iter()] == made[::-1]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"url": "billing.example.com/hooks"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://[::1/"}, "url"),
        ({"enabled_events": []}, "enabled_events"),
        ({"enabled_events": ["invoice.paid", "invoice.eaten"]}, "enabled_events[1]"),
        ({"api_version": "2024-02-30"}, "api_version"),
        ({"connect": True}, "connect"),
        ({"status": "enabled"}, "status"),
    ],
)
def test_a_wrong_endpoint_is_refused(sandbox: Sandbox, params: dict[str, Any], param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        new_endpoint(sandbox, **params)
    assert caught.value.param == param
    assert sandbox.v1.webhook_endpoints.list().data == []


@pytest.mark.parametrize("change", [{"api_version": stripe.api_version}, {"url": "nowhere"}, {"enabled_events": ["x"]}])
def test_a_wrong_change_is_refused(sandbox: Sandbox, change: Any) -> None:
    """The version of an endpoint is settled when it is made."""
    made = new_endpoint(sandbox)
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.webhook_endpoints.update(made.id, change)
    assert sandbox.v1.webhook_endpoints.retrieve(made.id).url == URL
