"""Who may call what, and what pages of other origins may read."""

import pytest
import stripe

from tests.sandbox.running import PUBLISHABLE_KEY, SECRET_KEY, Sandbox, client


def test_a_wrong_key_is_turned_away(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.AuthenticationError) as caught:
        client(sandbox.url, "sk_test_of_somebody_else").v1.customers.create({})
    assert caught.value.http_status == 401
    assert "sk_test_of_somebody_else" not in str(caught.value)


def test_a_request_without_a_key_is_turned_away(sandbox: Sandbox) -> None:
    response = sandbox.http.get("/v1/customers")
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_basic_authentication_takes_the_key_as_the_user(sandbox: Sandbox) -> None:
    assert sandbox.http.get("/v1/customers", auth=(SECRET_KEY, "")).status_code == 200


def test_the_publishable_key_does_not_reach_the_books(sandbox: Sandbox) -> None:
    browser = client(sandbox.url, PUBLISHABLE_KEY)
    with pytest.raises(stripe.AuthenticationError):
        browser.v1.customers.list()
    with pytest.raises(stripe.AuthenticationError):
        browser.v1.payment_intents.create({"amount": 100, "currency": "eur"})
    with pytest.raises(stripe.AuthenticationError):
        browser.v1.payment_intents.retrieve(sandbox.new_intent().id)


def test_the_publishable_key_needs_the_secret_of_this_very_intent(sandbox: Sandbox) -> None:
    intent, other = sandbox.new_intent(), sandbox.new_intent()
    with pytest.raises(stripe.InvalidRequestError, match="client_secret"):
        client(sandbox.url, PUBLISHABLE_KEY).v1.payment_intents.retrieve(
            intent.id, {"client_secret": str(other.client_secret)}
        )


def test_a_page_of_any_origin_may_call_the_api(sandbox: Sandbox) -> None:
    """Stripe.js, and what stands in for it here, runs in the page of the shop."""
    asked = sandbox.http.options(
        "/v1/payment_intents/pi_1/confirm",
        headers={"Origin": "http://shop.example", "Access-Control-Request-Method": "POST"},
    )
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "authorization" in asked.headers["access-control-allow-headers"]
    refused = sandbox.http.get("/v1/customers", headers={"Origin": "http://shop.example"})
    assert refused.headers["access-control-allow-origin"] == "*"


def test_every_answer_has_a_request_id_and_the_version_that_was_asked_for(sandbox: Sandbox) -> None:
    version = {"Stripe-Version": "2024-06-20"}
    for path in ("/v1/customers", "/v1/nothing"):
        response = sandbox.http.get(path, headers={"Authorization": f"Bearer {SECRET_KEY}", **version})
        assert response.headers["request-id"].startswith("req_")
        assert response.headers["stripe-version"] == "2024-06-20"


def test_an_unknown_address_is_stripes_404(sandbox: Sandbox) -> None:
    response = sandbox.http.get("/v1/nothing", headers={"Authorization": f"Bearer {SECRET_KEY}"})
    assert response.status_code == 404
    assert response.json()["error"]["message"].startswith("Unrecognized request URL (GET: /v1/nothing)")
