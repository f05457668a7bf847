"""What must not be read in a log: secrets, tokens, addresses and card numbers, by their shape and by their name."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "[redacted]"
MOST_CHARACTERS = 10_000
MOST_ITEMS = 100
DEEPEST = 8

SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<![A-Za-z0-9])(?:sk|rk|whsec|ek)_[A-Za-z0-9_]{4,}"), MASK),
    (re.compile(r"(?<![A-Za-z0-9])([a-z]{2,10}_[A-Za-z0-9]{1,100}_secret)_[A-Za-z0-9]+"), rf"\1_{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), MASK),
    (re.compile(r"(?i)\b(access_token|token|password|client_secret|secret|key)=[^&\s'\"]+"), rf"\1={MASK}"),
    (re.compile(r"(://[^/\s:@]{0,100}):[^/\s@]{1,200}@"), rf"\1:{MASK}@"),
    (re.compile(r"[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), MASK),
)
"""Bounded where they could otherwise look back over a long text again and again."""

CARD = re.compile(r"(?<![\w.-])[2-6](?:[ -]?[0-9]){12,18}(?![\w-])")

NAMES = re.compile(
    r"(?i)(?:^|[^a-z])(?:authorization|cookie|password|secrets?|token|signature|e?mail|card|cvc|iban|vault|body|"
    r"(?:api|secret|private)[_-]?key|(?:database|redis|broker|mail)[_-]url)(?:$|[^a-z])"
)
"""Names of fields whose text is not shown, whatever it looks like."""


def redacted(value: Any, depth: int = 0) -> Any:
    """The same in plain JSON values, with every secret in it masked; long or deep ones are cut."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return MASK if _is_card(str(value)) else value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if depth < DEEPEST and isinstance(value, Mapping):
        return redacted_fields(value, depth)
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [redacted(item, depth + 1) for item in _first(value)]
    return redacted_text(str(value))


def redacted_fields(fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    return {redacted_text(str(name)): _field(str(name), item, depth) for name, item in _first(fields.items())}


def redacted_text(text: str) -> str:
    if len(text) > MOST_CHARACTERS:  # both ends tell most: a traceback's last line is its error
        text = f"{text[: MOST_CHARACTERS // 2]} … {text[-MOST_CHARACTERS // 2 :]}"
    for shape, mask in SHAPES:
        text = shape.sub(mask, text)
    return CARD.sub(lambda found: MASK if _is_card(found[0]) else found[0], text)


def _field(name: str, value: Any, depth: int) -> Any:
    if NAMES.search(name) and not isinstance(value, bool | int | float | None):
        return MASK
    return redacted(value, depth + 1)


def _first(items: Iterable[Any]) -> list[Any]:
    return [item for item, _ in zip(items, range(MOST_ITEMS), strict=False)]


def _is_card(text: str) -> bool:
    """Card-shaped, and its check digit fits (ISO/IEC 7812-1, Luhn)."""
    if not CARD.fullmatch(text):
        return False
    digits = [int(digit) for digit in reversed(text) if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
