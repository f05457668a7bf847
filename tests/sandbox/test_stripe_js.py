"""The script that stands in for Stripe.js is served to any page, and what it asks of the API works.

How it behaves in a browser is not shown here: these tests do by hand what its code does there.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

import billing.sandbox
from billing.sandbox.behaviours import TEST_METHODS
from tests.sandbox.running import PUBLISHABLE_KEY, Receiver, Sandbox

ADDRESS = "/_sandbox/stripe.js"
ORIGIN = "http://shop.example"
BACK = f"{ORIGIN}/done?order=7"
SCRIPT = (Path(billing.sandbox.__file__).parent / "pages" / "stripe.js").read_text(encoding="utf-8")
FOREIGN = re.compile(r"""\b(?:https?|wss?)://|["'`(]//\w""")


class Choice(NamedTuple):
    method: str
    type: str
    label: str
    number: str


CHOICES = [Choice(*row) for row in re.findall(r'\["(pm_\w+)", "(\w+)", "([^"]+)", "([^"]+)"\]', SCRIPT)]


def test_the_script_is_served_to_any_page_and_may_be_kept_shortly(sandbox: Sandbox) -> None:
    served = sandbox.http.get(ADDRESS, headers={"Origin": ORIGIN})
    assert served.status_code == 200
    assert served.headers["content-type"] == "text/javascript; charset=utf-8"
    assert served.headers["access-control-allow-origin"] == "*"
    assert served.headers["cross-origin-resource-policy"] == "cross-origin"
    assert served.headers["cache-control"] == "public, max-age=60"
    assert served.text == SCRIPT


def test_the_script_names_no_host() -> None:
    """It works without a network, and wherever the sandbox is: the one address that it knows is its own."""
    assert FOREIGN.findall(SCRIPT) == []
    assert "document.currentScript.src" in SCRIPT


@pytest.mark.parametrize("address", ["https://js.example/v3/", "url(//fonts.example/a)", 'fetch("//api.example")'])
def test_the_rule_sees_a_host(address: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert FOREIGN.search(address)


@pytest.mark.parametrize(
    "name",
    [
        "window.Stripe =",
        "elements:",
        "create(",
        "mount(",
        "unmount(",
        "on(",
        "confirmPayment:",
        "retrievePaymentIntent",
        "confirmSetup:",
        "confirmCardSetup:",
        "confirmCardPayment:",
        "handleNextAction:",
        "retrieveSetupIntent:",
    ],
)
def test_the_script_has_what_a_checkout_page_calls(name: str) -> None:
    """The page is the same with Stripe's own script."""
    assert name in SCRIPT


def test_the_form_offers_test_methods_with_their_own_numbers() -> None:
    """A choice that the sandbox does not know, or by another's number, would lie to who tries it."""
    assert len(CHOICES) == 6
    known = [TEST_METHODS[choice.method] for choice in CHOICES]
    assert [(one.type, one.number.replace(" ", "")) for one in CHOICES] == [(one.type, one.number) for one in known]


OUTCOMES = {
    "pm_card_visa": "succeeded",
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_threeDSecure2Required": "requires_action",
    "pm_success_de": "processing",
    "pm_failed_de": "processing",
}


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.method)
def test_every_choice_is_confirmed_as_a_browser_does_it(sandbox: Sandbox, choice: Choice) -> None:
    """What comes back is what the script hands to the page: an intent, or an error with the intent in it."""
    answer = Browser(sandbox).confirm(choice.method)
    error = answer.get("error")
    intent = error["payment_intent"] if error else answer
    assert (error["decline_code"] if error else answer["status"]) == OUTCOMES[choice.method]
    assert intent["object"] == "payment_intent"
    if error:
        assert (error["type"], error["code"]) == ("card_error", "card_declined")
        assert intent["status"] == "requires_payment_method"


def test_a_declined_card_is_followed_by_a_good_one(sandbox: Sandbox) -> None:
    browser = Browser(sandbox)
    assert browser.confirm("pm_card_chargeDeclined")["error"]["message"] == "Your card was declined."
    assert browser.confirm("pm_card_visa")["status"] == "succeeded"
    assert browser.retrieve()["status"] == "succeeded"


@pytest.mark.parametrize(("currency", "types"), [("eur", ["card", "sepa_debit"]), ("usd", ["card"])])
def test_the_form_can_tell_which_choices_fit(sandbox: Sandbox, currency: str, types: list[str]) -> None:
    """It asks for the intent before it shows anything."""
    assert Browser(sandbox, currency=currency).retrieve()["payment_method_types"] == types


@pytest.mark.parametrize(("answer", "status"), [("approve", "succeeded"), ("refuse", "failed")])
def test_the_buyer_comes_back_from_his_bank_with_the_outcome(sandbox: Sandbox, answer: str, status: str) -> None:
    browser = Browser(sandbox)
    bank = browser.confirm("pm_card_threeDSecure2Required")["next_action"]["redirect_to_url"]["url"]
    back = urlsplit(browser.leave(bank, answer))
    assert parse_qs(back.query) == {
        "order": ["7"],
        "payment_intent": [browser.intent_id],
        "payment_intent_client_secret": [browser.secret],
        "redirect_status": [status],
    }


def test_the_way_back_says_the_last_outcome_only_and_keeps_the_place_in_the_page(sandbox: Sandbox) -> None:
    """The page that a refused buyer came back to is where he tries again."""
    browser = Browser(sandbox)
    address = f"{BACK}#step-2"
    for answer, status in (("refuse", "failed"), ("approve", "succeeded")):
        confirmed = browser.confirm("pm_card_threeDSecure2Required", return_url=address)
        address = browser.leave(confirmed["next_action"]["redirect_to_url"]["url"], answer)
        back = urlsplit(address)
        names = [name for name, _ in parse_qsl(back.query)]
        assert names == ["order", "payment_intent", "payment_intent_client_secret", "redirect_status"]
        assert (parse_qs(back.query)["redirect_status"], back.fragment) == ([status], "step-2")


@pytest.mark.parametrize(("method", "end"), [("pm_success_de", "succeeded"), ("pm_failed_de", "payment_failed")])
def test_a_bank_debit_is_decided_after_the_buyer_has_left(
    sandbox: Sandbox, receiver: Receiver, method: str, end: str
) -> None:
    sandbox.tell("settlement", {"delay_seconds": 0.05})
    browser = Browser(sandbox)
    assert browser.confirm(method)["status"] == "processing"
    receiver.wait_for(f"payment_intent.{end}", browser.intent_id)


class Browser:
    """One intent in a page of another origin: each POST is allowed by a preflight first."""

    def __init__(self, sandbox: Sandbox, **params: Any) -> None:
        intent = sandbox.new_intent(**params)
        self.intent_id, self.secret = intent.id, str(intent.client_secret)
        self._http = sandbox.http
        self._path = f"/v1/payment_intents/{intent.id}"
        self._headers = {"Authorization": f"Bearer {PUBLISHABLE_KEY}", "Origin": ORIGIN}

    def confirm(self, payment_method: str, return_url: str = BACK) -> dict[str, Any]:
        path = f"{self._path}/confirm"
        self._ask_leave(path, "POST")
        form = {"payment_method": payment_method, "return_url": return_url, "client_secret": self.secret}
        return self._read(self._http.post(path, data=form, headers=self._headers))

    def retrieve(self) -> dict[str, Any]:
        self._ask_leave(self._path, "GET")
        return self._read(self._http.get(self._path, params={"client_secret": self.secret}, headers=self._headers))

    def leave(self, bank: str, answer: str) -> str:
        """Where the bank sends the buyer."""
        assert answer in self._http.get(bank).text
        sent = self._http.post(f"{bank}/{answer}", headers={"Accept": "text/html", "Origin": ORIGIN})
        assert sent.status_code == 303
        return str(sent.headers["location"])

    def _ask_leave(self, path: str, method: str) -> None:
        wanted = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
        allowed = self._http.options(path, headers={"Origin": ORIGIN, **wanted})
        assert allowed.is_success
        assert allowed.headers["access-control-allow-origin"] in {"*", ORIGIN}
        assert method in allowed.headers["access-control-allow-methods"]
        assert "authorization" in allowed.headers["access-control-allow-headers"]

    def _read(self, response: Any) -> dict[str, Any]:
        assert response.headers["access-control-allow-origin"] in {"*", ORIGIN}
        answer: dict[str, Any] = response.json()
        return answer
