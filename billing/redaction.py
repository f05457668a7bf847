"""What must not be read in a log: secrets, tokens, addresses and card numbers, by their shape and by their name."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

MASK = "[redacted]"
MOST_CHARACTERS = 10_000
MOST_ITEMS = 100
DEEPEST = 8

NUMBERS = (bool, int, float)
BINARY = (bytes, bytearray, memoryview)
LISTS = (list, tuple, set, frozenset)

Shape = tuple[tuple[str, ...], re.Pattern[str], str]

SHAPES: tuple[Shape, ...] = (
    (("k_", "whsec_"), re.compile(r"(?<![A-Za-z0-9])(?:sk|rk|whsec|ek)_[A-Za-z0-9_]{4,}"), MASK),
    (("_secret_",), re.compile(r"(?<![A-Za-z0-9])([a-z]{2,10}_[A-Za-z0-9]{1,100}_secret)_[A-Za-z0-9]+"), rf"\1_{MASK}"),
    (("bearer", "basic"), re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}"), rf"\1 {MASK}"),
    (("eyj",), re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), MASK),
    (("=",), re.compile(r"(?i)\b(access_token|token|password|client_secret|secret|key)=[^&\s'\"]+"), rf"\1={MASK}"),
    (("://",), re.compile(r"(://[^/\s:@]{0,100}):[^/\s@]{1,200}@"), rf"\1:{MASK}@"),
    (("@",), re.compile(r"[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), MASK),
)
"""Signs, pattern and mask. A pattern cannot match where none of its signs stands, and in most texts no sign stands.

Signs are looked for in lower case, and only in ASCII: beyond it there are letters that a pattern takes for ours.
Patterns are bounded where they could otherwise look back over a long text again and again.
"""

SIGNS = re.compile("|".join(sign for signs, _, _ in SHAPES for sign in signs))

CARD = re.compile(r"[2-6](?<![\w.-][2-6])(?:[ -]?[0-9]){12,18}(?![\w-])")
SHORTEST_CARD = 13
LEAST_CARD = 10 ** (SHORTEST_CARD - 1)

NAMES = re.compile(
    r"(?i)(?:^|[^a-z])(?:authorization|cookie|password|secrets?|token|signature|e?mail|card|cvc|iban|vault|body|"
    r"(?:api|secret|private)[_-]?key|(?:database|redis|broker|mail)[_-]url)(?:$|[^a-z])"
)
"""Names of fields whose text is not shown, whatever it looks like."""

LONGEST_KNOWN_NAME = 100
"""Names come back with every line, so what is found out about one is kept; longer ones are data, not names."""


def redacted(value: Any, depth: int = 0) -> Any:
    """The same in plain JSON values, with every secret in it masked; long or deep ones are cut."""
    if isinstance(value, str):
        return redacted_text(str(value))
    if value is None or isinstance(value, NUMBERS):
        return MASK if _is_card_number(value) else value
    if isinstance(value, BINARY):
        return f"{len(value)} bytes"
    if depth < DEEPEST and isinstance(value, Mapping):
        return redacted_fields(value, depth)
    if depth < DEEPEST and isinstance(value, LISTS):
        return [redacted(item, depth + 1) for item in _first(value)]
    return redacted_text(str(value))


def redacted_fields(fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    shown = {}
    for given, item in _first(fields.items()):
        name = str(given)
        masked, is_sensitive = _known(name) if len(name) <= LONGEST_KNOWN_NAME else _judged(name)
        shown[masked] = _field(is_sensitive, item, depth)
    return shown


def redacted_text(text: str) -> str:
    if len(text) > MOST_CHARACTERS:  # both ends tell most: a traceback's last line is its error
        text = f"{text[: MOST_CHARACTERS // 2]} … {text[-MOST_CHARACTERS // 2 :]}"
    if not text.isascii() or SIGNS.search(text.lower()):
        text = _without_shapes(text)
    return text if len(text) < SHORTEST_CARD else CARD.sub(_masked_card, text)


def _without_shapes(text: str) -> str:
    is_plain, lowered = text.isascii(), text.lower()
    for signs, shape, mask in SHAPES:
        if not is_plain or any(sign in lowered for sign in signs):
            text = shape.sub(mask, text)
    return text


def _masked_card(found: re.Match[str]) -> str:
    return MASK if _is_card(found[0]) else found[0]


def _judged(name: str) -> tuple[str, bool]:
    """The name of a field as it is shown, and whether its text is not."""
    return redacted_text(name), NAMES.search(name) is not None


_known = lru_cache(maxsize=1_000)(_judged)


def _field(is_sensitive: bool, value: Any, depth: int) -> Any:
    if is_sensitive and not (value is None or isinstance(value, NUMBERS)):
        return MASK
    return redacted(value, depth + 1)


def _first(items: Iterable[Any]) -> list[Any]:
    return [item for item, _ in zip(items, range(MOST_ITEMS), strict=False)]


def _is_card_number(value: object) -> bool:
    return isinstance(value, int) and value >= LEAST_CARD and _is_card(str(value))


def _is_card(text: str) -> bool:
    """Card-shaped, and its check digit fits (ISO/IEC 7812-1, Luhn)."""
    if not CARD.fullmatch(text):
        return False
    digits = [int(digit) for digit in reversed(text) if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
