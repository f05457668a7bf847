"""What a payment method does to an intent: it pays, is declined, asks the buyer, or takes its time.

Pages: "How PaymentIntents work" and "Payment status updates" of Stripe's documentation.
"""

from typing import Any

from billing.sandbox.account import Account
from billing.sandbox.behaviours import AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, TEST_METHODS, Behaviour, Failure
from billing.sandbox.call import Call
from billing.sandbox.errors import CardDeclined, doc_url
from billing.sandbox.objects import Body, Stored
from billing.sandbox.origins import NOBODY
from billing.sandbox.resources import charges, dispute_stages, fraud_warnings, invoice_outcomes, payment_methods

SETTLE = "settle_payment"


def attempt(call: Call, intent: Stored, method: Stored) -> None:
    """Raises CardDeclined where the bank said no; what came of the attempt is kept all the same.

    An intent of an invoice waits for the buyer also where he is not there: his bank's question is not a refusal.
    """
    behaviour = TEST_METHODS[method.behaviour or ""]
    intent.body.update(last_payment_error=None, next_action=None, payment_method=method.id)
    if call.params.get("off_session") and behaviour.challenge == "always" and intent.behaviour is None:
        _refuse(call, intent, method, AUTHENTICATION_REQUIRED)
    elif behaviour.challenge == "never" or (call.params.get("off_session") and behaviour.challenge != "always"):
        _pay(call, intent, method)
    elif call.params.get("error_on_requires_action"):
        _refuse(call, intent, method, AUTHENTICATION_REQUIRED)
    else:
        _ask_buyer(call, intent)


def authenticate(account: Account, intent: Stored, *, is_approved: bool) -> None:
    """The buyer has answered his bank, in his browser: no API request takes part, and no error is raised."""
    call = Call(account, NOBODY, {})
    method = account.objects.need("payment_method", intent.body["payment_method"])
    intent.body["next_action"] = None
    if not is_approved:
        _fail(call, intent, _payment_error(AUTHENTICATION_FAILED, method.body, None))
        return
    try:
        _pay(call, intent, method)
    except CardDeclined:
        return


def settle(account: Account, intent_id: str) -> None:
    """The bank has decided about a debit."""
    call = Call(account, NOBODY, {})
    intent = account.objects.get("payment_intent", intent_id)
    if intent is None or intent.body["status"] != "processing":
        return
    charge = account.objects.need("charge", intent.body["latest_charge"])
    method = account.objects.need("payment_method", intent.body["payment_method"])
    failure = TEST_METHODS[method.behaviour or ""].failure
    charges.conclude(account, charge, failure)
    if failure is None:
        _succeed(call, intent, method, charge)
    else:
        call.record("charge.failed", charge.body)
        _fail(call, intent, _payment_error(failure, method.body, charge.id))


def _pay(call: Call, intent: Stored, method: Stored) -> None:
    behaviour = TEST_METHODS[method.behaviour or ""]
    if behaviour.type == "sepa_debit":
        _process(call, intent, method, behaviour.extra_seconds)
    elif behaviour.failure is not None:
        _refuse(call, intent, method, behaviour.failure)
    else:
        _succeed(call, intent, method, charges.add(call.account, intent.body, method.body, "succeeded"))


def _succeed(call: Call, intent: Stored, method: Stored, charge: Stored) -> None:
    intent.body.update(status="succeeded", amount_received=intent.body["amount"], latest_charge=charge.id)
    call.account.objects.save(intent)
    if intent.body["setup_future_usage"] and intent.body["customer"]:
        payment_methods.attach(call, method, intent.body["customer"])
    call.record("charge.succeeded", charge.body)
    _complain(call, TEST_METHODS[method.behaviour or ""], charge)
    call.record("payment_intent.succeeded", intent.body)
    invoice_outcomes.paid(call, intent)


def _complain(call: Call, behaviour: Behaviour, charge: Stored) -> None:
    """Stripe's test cards do so at once: what comes of it is listed before the intent's own success."""
    if behaviour.is_reported_as_fraud:
        fraud_warnings.add(call, charge)
    if behaviour.complaint is not None:
        is_inquiry = behaviour.complaint == "inquiry"
        reason = "fraudulent" if is_inquiry else behaviour.complaint
        claim = dispute_stages.Claim(charge.body["amount"], reason, is_inquiry)
        dispute_stages.raise_against(call, charge, claim)


def _process(call: Call, intent: Stored, method: Stored, extra_seconds: int) -> None:
    charge = charges.add(call.account, intent.body, method.body, "pending")
    intent.body.update(status="processing", latest_charge=charge.id)
    call.account.objects.save(intent)
    call.account.schedule.add(SETTLE, intent.id, call.account.settlement_seconds + extra_seconds)
    call.record("charge.pending", charge.body)
    call.record("payment_intent.processing", intent.body)
    invoice_outcomes.processing(call, intent)


def _ask_buyer(call: Call, intent: Stored) -> None:
    """Where nobody called the API there is no way back: the buyer's browser confirms again, with one."""
    page = f"{call.origin.base_url}/_sandbox/3ds/{intent.id}"
    redirect = {"return_url": call.params.get("return_url"), "url": page}
    action = {"type": "redirect_to_url", "redirect_to_url": redirect}
    if call.params.get("off_session"):
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    intent.body.update(status="requires_action", next_action=action)
    call.account.objects.save(intent)
    call.record("payment_intent.requires_action", intent.body)
    invoice_outcomes.action_required(call, intent)


def _refuse(call: Call, intent: Stored, method: Stored, failure: Failure) -> None:
    charge = charges.add(call.account, intent.body, method.body, "failed", failure)
    intent.body["latest_charge"] = charge.id
    call.record("charge.failed", charge.body)
    error = _payment_error(failure, method.body, charge.id)
    _fail(call, intent, error)
    raise CardDeclined(error, payment_intent=intent.body)


def _fail(call: Call, intent: Stored, error: dict[str, Any]) -> None:
    """The intent waits for another payment method; the failed one is in the error only."""
    intent.body.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
    call.account.objects.save(intent)
    call.record("payment_intent.payment_failed", intent.body)
    invoice_outcomes.failed(call, intent)


def _payment_error(failure: Failure, method: Body, charge_id: str | None) -> dict[str, Any]:
    facts = {
        "charge": charge_id,
        "code": failure.code,
        "decline_code": failure.decline_code,
        "doc_url": doc_url(failure.code),
        "message": failure.message,
        "payment_method": method,
        "type": "card_error" if method["type"] == "card" else "invalid_request_error",
    }
    return {name: value for name, value in facts.items() if value is not None}
