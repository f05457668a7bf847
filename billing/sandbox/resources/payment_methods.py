"""Payment methods: cards by number or token, bank debits by IBAN, Stripe's test methods by name.

Page: "PaymentMethods" of Stripe's API reference.
"""

from typing import Any

from billing.sandbox import behaviours
from billing.sandbox.behaviours import NOT_A_TEST_CARD, TEST_METHODS, Behaviour
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError, CardDeclined
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import found

_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
_EXPIRES = {"exp_month": 12, "exp_year": 2034}
UNSERVED = frozenset({"customer_account", "fpx", "payment_method"})
_GONE = (
    "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and "
    "may not be used again."
)


def create(call: Call) -> Body:
    return _made(call, call.params).body


def retrieve(call: Call) -> Body:
    return found.in_address(call, "payment_method").body


def chosen(call: Call, customer: str | None) -> Stored | None:
    """What `payment_method` or `payment_method_data` means; a test method's name makes a new one of its kind."""
    if "payment_method_data" in call.params:
        return _made(call, call.params["payment_method_data"])
    name = behaviours.named(call.params.get("payment_method", ""))
    if name is not None:
        return _kept(call, name, {})
    method = found.in_parameter(call, "payment_method", "payment_method")
    if method is not None:
        check_is_usable(call, method)
    if method is not None and method.body["customer"] not in {None, customer}:
        sentence = "The payment method belongs to another customer than the PaymentIntent."
        raise ApiError(sentence, code="payment_intent_invalid_parameter", param="payment_method")
    return method


def check_is_usable(call: Call, method: Stored) -> None:
    words = "SELECT 1 FROM detached WHERE payment_method = ?"
    if call.account.database.row(words, method.id) is not None:
        raise ApiError(_GONE, param="payment_method")


def new(call: Call, name: str) -> Stored:
    """A method of the kind that a test method's name means."""
    return _kept(call, name, {})


def attach(call: Call, method: Stored, customer: str) -> None:
    if method.body["customer"] is None:
        method.body["customer"] = customer
        call.account.objects.save(method)
        call.record("payment_method.attached", method.body)


def _made(call: Call, params: dict[str, Any]) -> Stored:
    match params.get("type"):
        case "card" if isinstance(params.get("card"), dict):
            return _kept(call, _of_card(call, params["card"]), params)
        case "sepa_debit" if isinstance(params.get("sepa_debit"), dict):
            return _kept(call, _of_iban(params["sepa_debit"]["iban"]), params)
        case "card" | "sepa_debit" as kind:
            raise ApiError(f"Missing required param: {kind}.", code="parameter_missing", param=kind)
        case None:
            raise ApiError("Missing required param: type.", code="parameter_missing", param="type")
        case kind:
            raise ApiError(f"The sandbox has cards and SEPA debits, no {kind}.", param="type")


def _of_card(call: Call, card: dict[str, Any]) -> str:
    if "token" in card:
        return _known(behaviours.of_token(card["token"]), f"No such token: '{card['token']}'", "card[token]")
    if _has_expired(call, card):
        raise CardDeclined(_complaint("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year"))
    number = card["number"].replace(" ", "")
    if not _is_well_formed(number):
        raise CardDeclined(_complaint("incorrect_number", "Your card number is incorrect.", "number"))
    name = behaviours.of_number(number)
    if name is None:
        refused = _complaint(NOT_A_TEST_CARD.code, NOT_A_TEST_CARD.message, "")
        raise CardDeclined({**refused, "decline_code": NOT_A_TEST_CARD.decline_code})
    return name


def _of_iban(iban: str) -> str:
    return _known(behaviours.of_number(iban.upper()), "The IBAN you provided is invalid.", "sepa_debit[iban]")


def _known(name: str | None, complaint: str, param: str) -> str:
    if name is None:
        raise ApiError(
            complaint, code="resource_missing" if "token" in param else "invalid_bank_account_iban", param=param
        )
    return name


def _complaint(code: str, message: str, param: str) -> dict[str, Any]:
    return {"code": code, "message": message, "type": "card_error", "param": param}


def _has_expired(call: Call, card: dict[str, Any]) -> bool:
    year = 1970 + call.account.clock.now() // 31_556_952
    return int(card["exp_year"]) % 100 < year % 100


def _is_well_formed(number: str) -> bool:
    """Luhn's check digit."""
    if not number.isdecimal() or not 12 <= len(number) <= 19:
        return False
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _kept(call: Call, name: str, params: dict[str, Any]) -> Stored:
    method = Stored(_shape(TEST_METHODS[name], params, call.account.clock.now()), behaviour=name)
    call.account.objects.add(method, method.body["created"])
    return method


def _shape(behaviour: Behaviour, params: dict[str, Any], created: int) -> Body:
    details = _card(behaviour, params.get("card", {})) if behaviour.type == "card" else _sepa_debit(behaviour)
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
        "billing_details": billing_details(params.get("billing_details", {})),
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": merged({}, params.get("metadata")),
        "type": behaviour.type,
        behaviour.type: details,
    }


def billing_details(given: dict[str, Any], current: Body | None = None) -> Body:
    """An empty text unsets; what is absent stays as it was."""
    former = current or {"address": _ADDRESS, **dict.fromkeys(("email", "name", "phone", "tax_id"))}
    facts = {name: given.get(name, value) or None for name, value in former.items() if name != "address"}
    return {"address": {**former["address"], **(given.get("address") or {})}, **facts}


def _card(behaviour: Behaviour, given: dict[str, Any]) -> Body:
    return {
        "brand": behaviour.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
        "country": behaviour.country,
        "display_brand": behaviour.brand,
        "exp_month": given.get("exp_month", _EXPIRES["exp_month"]),
        "exp_year": given.get("exp_year", _EXPIRES["exp_year"]),
        "fingerprint": fingerprint(behaviour.number),
        "funding": behaviour.funding,
        "generated_from": None,
        "last4": behaviour.number[-4:],
        "networks": {"available": [behaviour.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": behaviour.challenge != "never"},
        "wallet": None,
    }


def _sepa_debit(behaviour: Behaviour) -> Body:
    return {
        "bank_code": behaviour.number[4:12],
        "branch_code": "",
        "country": behaviour.country,
        "fingerprint": fingerprint(behaviour.number),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": behaviour.number[-4:],
    }


def fingerprint(number: str) -> str:
    """The same card has the same one, whichever payment method it is in."""
    return f"sandbox{int(number[-9:]):x}"
