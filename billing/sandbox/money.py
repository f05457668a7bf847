"""Which amounts and currencies can be charged.

Page: "Supported currencies" (with the minimum amounts) of Stripe's documentation.
"""

from billing.sandbox.errors import ApiError

_SMALLEST = {
    "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400,
    "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200,
    "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
_LARGEST = 99_999_999
_WITHOUT_CENTS = frozenset({"jpy"})
_SIGNS = {"eur": "€", "gbp": "£", "jpy": "¥", "usd": "$"}


def check_currency(given: str) -> str:
    currency = given.lower()
    if currency not in _SMALLEST:
        known = ", ".join(_SMALLEST)
        raise ApiError(
            f"Invalid currency: {given}. Stripe currently supports these currencies: {known}", param="currency"
        )
    return currency


def check_amount(amount: int, currency: str) -> None:
    check_is_positive(amount)
    if amount < _SMALLEST[currency]:
        sentence = f"Amount must be at least {_written(_SMALLEST[currency], currency)}"
        raise ApiError(sentence, code="amount_too_small", param="amount")
    if amount > _LARGEST:
        sentence = f"Amount must be no more than {_written(_LARGEST, currency)}"
        raise ApiError(sentence, code="amount_too_large", param="amount")


def check_is_positive(amount: int) -> None:
    if amount < 1:
        sentence = "This value must be greater than or equal to 1."
        raise ApiError(sentence, code="parameter_invalid_integer", param="amount")


def signed(amount: int, currency: str) -> str:
    """As in Stripe's sentences about refunds: €14.00."""
    if currency not in _SIGNS:
        return _written(amount, currency)
    return _SIGNS[currency] + (str(amount) if currency in _WITHOUT_CENTS else f"{amount / 100:.2f}")


def _written(amount: int, currency: str) -> str:
    return f"{amount} {currency}" if currency in _WITHOUT_CENTS else f"{amount / 100:.2f} {currency}"
