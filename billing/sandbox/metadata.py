"""Metadata: added key by key, a key unset by an empty value, all of it by an empty string.

Page: "Metadata" of Stripe's API reference.
"""

from billing.sandbox.errors import ApiError

_KEYS, _KEY_LENGTH, _VALUE_LENGTH = 50, 40, 500


def merged(current: dict[str, str], change: dict[str, str] | str | None) -> dict[str, str]:
    if change is None:
        return current
    if not isinstance(change, dict):
        return {}
    for key, value in change.items():
        _check(key, value)
    found = {key: value for key, value in {**current, **change}.items() if value}
    if len(found) > _KEYS:
        raise ApiError(f"Metadata can have up to {_KEYS} keys, but you passed in {len(found)}.", param="metadata")
    return found


def _check(key: str, value: str) -> None:
    if len(key) > _KEY_LENGTH:
        sentence = f"Metadata keys can have up to {_KEY_LENGTH} characters, but you passed in one of {len(key)}."
        raise ApiError(sentence, param="metadata")
    if len(value) > _VALUE_LENGTH:
        sentence = f"Metadata values can have up to {_VALUE_LENGTH} characters, but you passed in one of {len(value)}."
        raise ApiError(sentence, param=f"metadata[{key}]")
