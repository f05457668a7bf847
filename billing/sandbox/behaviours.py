"""How each of Stripe's test payment methods behaves, by name, by card number or by IBAN.

Pages: "Test card numbers", "Disputes" and "Refunds" ("Testing"), "Decline codes" and "SEPA Direct Debit payments" of
Stripe's documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Failure:
    code: str
    message: str
    decline_code: str | None = None
    reason: str | None = None
    """The charge's outcome, where it is not the decline code."""


def _decline(decline_code: str, message: str = "Your card was declined.") -> Failure:
    return Failure("card_declined", message, decline_code)


DECLINED = _decline("generic_decline")
INSUFFICIENT_FUNDS = _decline("insufficient_funds", "Your card has insufficient funds.")
LOST = _decline("lost_card")
STOLEN = _decline("stolen_card")
VELOCITY = _decline(
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
)
EXPIRED = Failure("expired_card", "Your card has expired.", "expired_card")
WRONG_CVC = Failure("incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc")
PROCESSING_ERROR = Failure(
    "processing_error", "An error occurred while processing your card. Try again in a little bit.", "processing_error"
)
NOT_A_TEST_CARD = _decline(
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card. For a list of valid test cards, "
    "visit: https://stripe.com/docs/testing.",
)
AUTHENTICATION_REQUIRED = Failure(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
AUTHENTICATION_FAILED = Failure(
    "payment_intent_authentication_failure",
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
)
DEBIT_FAILED = Failure(
    "payment_intent_payment_attempt_failed", "The payment failed.", reason="generic_could_not_process"
)

Challenge = Literal["never", "buyer_present", "always"]
Complaint = Literal["fraudulent", "product_not_received", "inquiry"]
Refunding = Literal["at_once", "pending", "fails_later"]


@dataclass(frozen=True)
class Behaviour:
    """`challenge` is when the bank asks the buyer: never, only while he is there to be asked, or always.

    `complaint` is what the buyer tells his bank as soon as he has paid, `is_reported_as_fraud` what the bank tells
    Stripe then, and `refunding` how a refund to this method goes. `is_kept_at_first`: the failure comes with a
    payment only, not when the method is kept for later.
    """

    number: str
    brand: str = "visa"
    type: Literal["card", "sepa_debit"] = "card"
    failure: Failure | None = None
    challenge: Challenge = "never"
    funding: str = "credit"
    country: str = "US"
    extra_seconds: int = 0
    complaint: Complaint | None = None
    is_reported_as_fraud: bool = False
    refunding: Refunding = "at_once"
    is_kept_at_first: bool = False

    @property
    def failure_of_setup(self) -> Failure | None:
        """A bank debit is not tried before it is used."""
        return None if self.is_kept_at_first or self.type == "sepa_debit" else self.failure


def _debit(iban: str, *, failure: Failure | None = None, extra_seconds: int = 0) -> Behaviour:
    country = iban[:2]
    return Behaviour(iban, "sepa", "sepa_debit", failure, funding="debit", country=country, extra_seconds=extra_seconds)


THREE_MINUTES = 180
TEST_METHODS: Mapping[str, Behaviour] = {
    "pm_card_visa": Behaviour("4242424242424242"),
    "pm_card_visa_debit": Behaviour("4000056655665556", funding="debit"),
    "pm_card_mastercard": Behaviour("5555555555554444", "mastercard"),
    "pm_card_mastercard_debit": Behaviour("5200828282828210", "mastercard", funding="debit"),
    "pm_card_mastercard_prepaid": Behaviour("5105105105105100", "mastercard", funding="prepaid"),
    "pm_card_amex": Behaviour("378282246310005", "amex"),
    "pm_card_discover": Behaviour("6011111111111117", "discover"),
    "pm_card_diners": Behaviour("3056930009020004", "diners"),
    "pm_card_jcb": Behaviour("3566002020360505", "jcb"),
    "pm_card_unionpay": Behaviour("6200000000000005", "unionpay"),
    "pm_card_de": Behaviour("4000002760000016", country="DE"),
    "pm_card_es": Behaviour("4000007240000007", country="ES"),
    "pm_card_fr": Behaviour("4000002500000003", country="FR"),
    "pm_card_createDispute": Behaviour("4000000000000259", complaint="fraudulent"),
    "pm_card_createDisputeProductNotReceived": Behaviour("4000000000002685", complaint="product_not_received"),
    "pm_card_createDisputeInquiry": Behaviour("4000000000001976", complaint="inquiry"),
    "pm_card_createIssuerFraudRecord": Behaviour("4000000000005423", is_reported_as_fraud=True),
    "pm_card_refundFail": Behaviour("4000000000005126", refunding="fails_later"),
    "pm_card_pendingRefund": Behaviour("4000000000007726", refunding="pending"),
    "pm_card_chargeDeclined": Behaviour("4000000000000002", failure=DECLINED),
    "pm_card_chargeDeclinedInsufficientFunds": Behaviour("4000000000009995", failure=INSUFFICIENT_FUNDS),
    "pm_card_chargeDeclinedLostCard": Behaviour("4000000000009987", failure=LOST),
    "pm_card_chargeDeclinedStolenCard": Behaviour("4000000000009979", failure=STOLEN),
    "pm_card_chargeDeclinedExpiredCard": Behaviour("4000000000000069", failure=EXPIRED),
    "pm_card_chargeDeclinedIncorrectCvc": Behaviour("4000000000000127", failure=WRONG_CVC),
    "pm_card_chargeDeclinedProcessingError": Behaviour("4000000000000119", failure=PROCESSING_ERROR),
    "pm_card_chargeDeclinedVelocityLimitExceeded": Behaviour("4000000000006975", failure=VELOCITY),
    "pm_card_chargeCustomerFail": Behaviour("4000000000000341", failure=DECLINED, is_kept_at_first=True),
    "pm_card_authenticationRequiredOnSetup": Behaviour("4000002500003155", challenge="buyer_present", country="FR"),
    "pm_card_authenticationRequired": Behaviour("4000002760003184", challenge="always", country="DE"),
    "pm_card_authenticationRequiredSetupForOffSession": Behaviour(
        "4000003800000446", challenge="buyer_present", country="HU"
    ),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Behaviour(
        "4000008260003178", challenge="always", failure=INSUFFICIENT_FUNDS, country="GB", is_kept_at_first=True
    ),
    "pm_card_threeDSecure2Required": Behaviour("4000000000003220", challenge="always"),
    "pm_card_threeDSecureRequired": Behaviour("4000000000003063", challenge="always"),
    "pm_card_threeDSecureRequiredChargeDeclined": Behaviour("4000008400001629", challenge="always", failure=DECLINED),
    "pm_card_threeDSecureOptional": Behaviour("4000000000003055"),
    "pm_card_threeDSecureNotSupported": Behaviour("378282246310005", "amex"),
    "pm_success_at": _debit("AT611904300234573201"),
    "pm_successDelayed_at": _debit("AT321904300235473204", extra_seconds=THREE_MINUTES),
    "pm_failed_at": _debit("AT861904300235473202", failure=DEBIT_FAILED),
    "pm_failedDelayed_at": _debit("AT051904300235473205", failure=DEBIT_FAILED, extra_seconds=THREE_MINUTES),
    "pm_success_de": _debit("DE89370400440532013000"),
    "pm_successDelayed_de": _debit("DE08370400440532013003", extra_seconds=THREE_MINUTES),
    "pm_failed_de": _debit("DE62370400440532013001", failure=DEBIT_FAILED),
    "pm_failedDelayed_de": _debit("DE78370400440532013004", failure=DEBIT_FAILED, extra_seconds=THREE_MINUTES),
}
_ALIASES = {
    "pm_sepaDebit": "pm_success_de",
    "pm_sepaDebitFailed": "pm_failed_de",
    "pm_card_authenticationRequiredOffSession": "pm_card_authenticationRequired",
}
_BY_NUMBER = {behaviour.number: name for name, behaviour in reversed(list(TEST_METHODS.items()))}


def named(payment_method: str) -> str | None:
    """The name under which a test payment method is listed; Stripe writes some with the brand: pm_card_visa_charge…"""
    name = _ALIASES.get(payment_method, payment_method)
    for candidate in (name, name.replace("pm_card_visa_", "pm_card_", 1)):
        if candidate in TEST_METHODS:
            return candidate
    return None


def of_number(number: str) -> str | None:
    """By the number of a card, or by an IBAN."""
    return _BY_NUMBER.get(number.replace(" ", ""))


def of_token(token: str) -> str | None:
    """`tok_visa` is the token of `pm_card_visa`, and so on."""
    return named(token.replace("tok_", "pm_card_", 1)) if token.startswith("tok_") else None
