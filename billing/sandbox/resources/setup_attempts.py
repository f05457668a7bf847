"""What a payment method does to a setup intent: it is kept, refused by its bank, or the bank asks its owner first.

Pages: "The Setup Intents API" of Stripe's documentation, "SetupAttempts" of its API reference.
"""

from typing import Any

from billing.sandbox import lists
from billing.sandbox.account import Account
from billing.sandbox.behaviours import AUTHENTICATION_FAILED, TEST_METHODS, Failure
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import CardDeclined, doc_url
from billing.sandbox.objects import Body, Stored
from billing.sandbox.origins import NOBODY
from billing.sandbox.resources import found, payment_methods

_CARD = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")


def list_all(call: Call) -> Body:
    selection = lists.objects_of("setup_attempt", "setup_attempt")
    selection.where("json_extract(body, '$.setup_intent') = ?", call.params["setup_intent"])
    found.in_parameter(call, "setup_intent", "setup_intent")
    return lists.page(call.account.database, selection, call.params, "/v1/setup_attempts")


def attempt(call: Call, intent: Stored, method: Stored) -> None:
    """Raises CardDeclined where the bank said no; what came of the attempt is kept all the same."""
    behaviour = TEST_METHODS[method.behaviour or ""]
    intent.body.update(last_setup_error=None, next_action=None, payment_method=method.id)
    _begin(call, intent, method)
    if behaviour.challenge != "never":
        _ask_owner(call, intent)
    elif behaviour.failure_of_setup is not None:
        _refuse(call, intent, method, behaviour.failure_of_setup)
    else:
        _succeed(call, intent, method)


def authenticate(account: Account, intent: Stored, *, is_approved: bool) -> None:
    """The owner has answered his bank, in his browser: no API request takes part, and no error is raised."""
    call = Call(account, NOBODY, {})
    method = account.objects.need("payment_method", intent.body["payment_method"])
    failure = TEST_METHODS[method.behaviour or ""].failure_of_setup if is_approved else _NOT_AUTHENTICATED
    intent.body["next_action"] = None
    if failure is None:
        _succeed(call, intent, method)
    else:
        _fail(call, intent, _setup_error(failure, method.body))


_NOT_AUTHENTICATED = Failure("setup_intent_authentication_failure", AUTHENTICATION_FAILED.message)


def _begin(call: Call, intent: Stored, method: Stored) -> None:
    tried = Stored(_shape(intent.body, method.body, call.account.clock.now()))
    call.account.objects.add(tried, tried.body["created"])
    intent.body["latest_attempt"] = tried.id


def _conclude(call: Call, intent: Stored, status: str, error: dict[str, Any] | None = None) -> None:
    tried = call.account.objects.need("setup_attempt", intent.body["latest_attempt"])
    tried.body.update(status=status, setup_error=error)
    call.account.objects.save(tried)


def _succeed(call: Call, intent: Stored, method: Stored) -> None:
    """A bank debit needs the owner's mandate, which is his from now on."""
    mandate = new_id("mandate") if method.body["type"] == "sepa_debit" else None
    intent.body.update(status="succeeded", mandate=mandate)
    call.account.objects.save(intent)
    _conclude(call, intent, "succeeded")
    if intent.body["customer"]:
        payment_methods.attach(call, method, intent.body["customer"])
    call.record("setup_intent.succeeded", intent.body)


def _ask_owner(call: Call, intent: Stored) -> None:
    page = f"{call.origin.base_url}/_sandbox/3ds/{intent.id}"
    redirect = {"return_url": call.params.get("return_url"), "url": page}
    intent.body.update(status="requires_action", next_action={"type": "redirect_to_url", "redirect_to_url": redirect})
    call.account.objects.save(intent)
    _conclude(call, intent, "requires_action")
    call.record("setup_intent.requires_action", intent.body)


def _refuse(call: Call, intent: Stored, method: Stored, failure: Failure) -> None:
    error = _setup_error(failure, method.body)
    _fail(call, intent, error)
    raise CardDeclined(error, setup_intent=intent.body)


def _fail(call: Call, intent: Stored, error: dict[str, Any]) -> None:
    """The intent waits for another payment method; the failed one is in the error only."""
    _conclude(call, intent, "failed", error)
    intent.body.update(status="requires_payment_method", payment_method=None, last_setup_error=error)
    call.account.objects.save(intent)
    call.record("setup_intent.setup_failed", intent.body)


def _setup_error(failure: Failure, method: Body) -> dict[str, Any]:
    facts = {
        "code": failure.code,
        "decline_code": failure.decline_code,
        "doc_url": doc_url(failure.code),
        "message": failure.message,
        "payment_method": method,
        "type": "card_error" if method["type"] == "card" else "invalid_request_error",
    }
    return {name: value for name, value in facts.items() if value is not None}


def _shape(intent: Body, method: Body, created: int) -> Body:
    return {
        "id": new_id("setatt"),
        "object": "setup_attempt",
        "application": None,
        "created": created,
        "customer": intent["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": False,
        "on_behalf_of": None,
        "payment_method": method["id"],
        "payment_method_details": _details(method),
        "setup_error": None,
        "setup_intent": intent["id"],
        "status": "processing",
        "usage": intent["usage"],
    }


def _details(method: Body) -> Body:
    kind = method["type"]
    if kind != "card":
        return {"type": kind, kind: {}}
    card = {**{name: method["card"][name] for name in _CARD}, "checks": method["card"]["checks"]}
    return {"type": kind, kind: {**card, "network": method["card"]["brand"], "three_d_secure": None}}
