"""A mistake in a parameter is found here, before Stripe finds it."""

from urllib.parse import urlencode

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from billing.sandbox.forms import decode
from tests.sandbox.running import SECRET_KEY, Sandbox

INTENTS = "/v1/payment_intents"
MISTAKES = [
    ("amount=100&currency=eur&colour=red", "parameter_unknown", "colour"),
    ("amount=100&currency=eur&payment_method_types[]=card", "parameter_unknown", "payment_method_types"),
    (
        "amount=100&currency=eur&automatic_payment_methods[enabled]=true&automatic_payment_methods[zz]=1",
        "parameter_unknown",
        "automatic_payment_methods[zz]",
    ),
    ("amount=100", "parameter_missing", "currency"),
    ("amount=100&currency=eur&shipping[name]=Ana", "parameter_missing", "shipping[address]"),
    ("amount=1.50&currency=eur", "parameter_invalid_integer", "amount"),
    ("amount=&currency=eur", "parameter_invalid_empty", "amount"),
    ("amount=100&currency=eur&confirm=maybe", None, "confirm"),
    ("amount=100&currency=eur&capture_method=sometimes", None, "capture_method"),
    ("amount=100&currency=eur&allowed_payment_method_types[0]=shells", None, "allowed_payment_method_types[0]"),
    ("amount=100&currency=eur&metadata=x", None, "metadata"),
    ("amount=100&currency=eur&expand[]=review", None, "expand"),
    ("amount=100&currency=eur&api_key=sk_test_x", "parameter_unknown", "api_key"),
]


@pytest.mark.parametrize(("form", "code", "param"), MISTAKES)
def test_a_mistake_is_named_as_stripe_names_it(sandbox: Sandbox, form: str, code: str | None, param: str) -> None:
    response = post(sandbox, INTENTS, form)
    error = response["error"]
    assert (error["type"], error.get("code"), error["param"]) == ("invalid_request_error", code, param)
    assert sandbox.v1.payment_intents.list().data == []


def test_a_mistake_reaches_the_client_as_its_own_error_class(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.payment_intents.create({"amount": 100, "currency": "eur", "bogus": 1})  # type: ignore[typeddict-unknown-key]
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "bogus")


def test_several_unknown_parameters_are_all_named(sandbox: Sandbox) -> None:
    error = post(sandbox, INTENTS, "amount=100&currency=eur&a=1&b=2")["error"]
    assert error["message"] == "Received unknown parameters: a, b"


def test_the_wrong_branch_of_a_choice_is_not_what_is_complained_about(sandbox: Sandbox) -> None:
    response = sandbox.http.get("/v1/events?created[after]=1", headers=bearer())
    assert response.json()["error"]["param"] == "created[after]"


def test_an_object_that_is_not_there_is_a_404_in_the_address(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.v1.payment_intents.retrieve("pi_unknown")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    assert "No such payment_intent: 'pi_unknown'" in str(caught.value)


NAMES = st.text("abcdefgh_", min_size=1, max_size=8).filter(lambda name: name != "metadata")
VALUES = st.recursive(
    st.text(max_size=12),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_the_client_encodes_is_read_back(params: dict[str, object]) -> None:
    assert decode(urlencode(list(_api_encode(params)))) == params


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRET_KEY}", "Content-Type": "application/x-www-form-urlencoded"}


def post(sandbox: Sandbox, path: str, form: str) -> dict[str, dict[str, str]]:
    response = sandbox.http.post(path, content=form, headers=bearer())
    assert response.status_code == 400
    body: dict[str, dict[str, str]] = response.json()
    return body
