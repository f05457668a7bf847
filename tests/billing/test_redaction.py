"""Looking for signs before looking for secrets saves time, and must not save a secret."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing import redaction
from billing.redaction import CARD, LONGEST_KNOWN_NAME, MASK, NAMES, SHAPES, redacted, redacted_fields, redacted_text
from tests.billing.test_logs import MARKS, SECRETS

PIECES = (
    *SECRETS.values(),
    *("sk_", "rk_", "ek_", "whsec_", "_secret_", "bearer", "BASIC", "eyJ", "=", "://", ":", "@", ".", "-", " ", "\n"),
    *("key=", "password=", "Token=", "postgresql://", "42", "4242", "4000 0000-0000", "[redacted]", "\u2026"),
    *("\u017f", "\u0130", "\u0131", "\u212a", "ba\u017fic", "BAS\u0130C", "\u212aEY=", "\u0660", "\xe9"),
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6) | st.text("skey_=:/@. 0245-", max_size=8), max_size=12)


def thorough(text: str) -> str:
    """Every rule, one after the other, whatever the text shows."""
    for _, shape, mask in SHAPES:
        text = shape.sub(mask, text)
    return CARD.sub(lambda found: MASK if redaction._is_card(found[0]) else found[0], text)


@settings(max_examples=1_000, deadline=None)
@given(TEXTS.map("".join))
@example("ba\u017fic abcdefghijkl")
@example("\u212aEY=abcdefghijkl")
@example("SK_test_abcd sk_test_abcd EYJabcd.a.b")
def test_no_rule_is_left_out(text: str) -> None:
    assert redacted_text(text) == thorough(text)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@settings(max_examples=50, deadline=None)
@given(before=TEXTS, after=TEXTS)
def test_a_secret_is_masked_whatever_stands_around_it(secret: str, before: list[str], after: list[str]) -> None:
    parts = ["".join(part).replace("|", "/") for part in (before, [secret], after)]
    _, shown, _ = redacted_text(" | ".join(parts)).split("|")
    assert not any(mark in shown for mark in MARKS)


@given(st.dictionaries(st.text(max_size=LONGEST_KNOWN_NAME + 20) | st.sampled_from(PIECES), st.just("harmless")))
def test_a_name_is_judged_alike_the_first_time_and_ever_after(fields: dict[str, str]) -> None:
    expected = {thorough(name): MASK if NAMES.search(name) else "harmless" for name in fields}
    assert redacted_fields(fields) == redacted_fields(fields) == expected


@given(st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(10**11), 10**12 - 1))
def test_a_number_too_small_for_a_card_is_left(value: float | None) -> None:
    assert redacted(value) is value


@pytest.mark.parametrize("card", [4242424242424242, 4000000000000002, 4222222222222])
def test_a_card_as_a_number_is_masked(card: int) -> None:
    assert redacted({"n": [card]}) == {"n": [MASK]}


def test_names_that_are_data_are_not_kept() -> None:
    """What callers make up must not stay in memory."""
    kept = redaction._known.cache_info().currsize
    redacted_fields({"x" * (LONGEST_KNOWN_NAME + 1): 1})
    assert redaction._known.cache_info().currsize == kept
