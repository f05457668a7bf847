"""Text of every script comes out as people of that script read it."""

import unicodedata

import pytest

from billing.receipts.lettering import UNKNOWN, in_sight_order, printable

EVERYTHING = range(0x110000)


def sight(line: str) -> str:
    return in_sight_order(line, EVERYTHING)


@pytest.mark.parametrize("line", ["", " ", "Ana Lúcia", "Ωμέγα", "Жуковська", "Nguyễn 12.50", "Ana (a.k.a. Bé)"])
def test_what_runs_from_the_left_stays_as_it_is(line: str) -> None:
    assert sight(line) == line


@pytest.mark.parametrize(
    ("line", "drawn"),
    [
        ("אבג", "גבא"),
        ("אבג דה", "הד גבא"),
        ("Ana אבג Bé", "Ana גבא Bé"),
        ("אבג Ana דה", "הד Ana גבא"),
        ("אבג 12.50 ד", "ד 12.50 גבא"),
        ("אבג 10 20", "20 10 גבא"),
        ("אבג (ד)", "(ד) גבא"),
        ("Ana 10 אב", "Ana 10 בא"),
        ("Ana אב 10", "Ana 10 בא"),
        ("אב, Ana", "Ana ,בא"),
        ("אב Ana Bé ג", "ג Ana Bé בא"),
    ],
)
def test_what_runs_from_the_right_is_turned_around(line: str, drawn: str) -> None:
    """Letter by letter, but no number and no foreign word within it."""
    assert sight(line) == drawn


def test_marks_stay_behind_their_letter() -> None:
    """They are drawn over the glyph before them."""
    assert sight("שָׁל") == "ל" + "שָׁ"


def test_arabic_letters_take_the_form_of_their_place() -> None:
    """Drawn one by one as they are stored, they would be no word."""
    assert sight("محمد") == "\ufeaa\ufee4\ufea4\ufee3"


def test_a_letter_that_joins_on_one_side_only_parts_the_word() -> None:
    """Dal, alef and others never join what follows."""
    assert sight("دار") == "\ufead\ufe8d\ufea9"


def test_lam_and_alef_are_one_glyph() -> None:
    assert sight("لا") == "\ufefb"
    assert sight("سلام") == "\ufee1\ufefc\ufeb3"


def test_a_mark_does_not_part_two_letters() -> None:
    assert [character for character in sight("بَب") if unicodedata.category(character) != "Mn"] == ["\ufe90", "\ufe91"]


def test_a_form_that_the_font_lacks_is_left_as_it_is() -> None:
    assert in_sight_order("محمد", {ord(letter) for letter in "محمد"}) == "دمحم"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("e\u0301", "é"),
        ("a\u202eb\u200dc\x00", "abc"),
        ("a\nb\tc\u2028d\u00a0e", "a b c d e"),
        ("\U0001f600 李", f"{UNKNOWN} {UNKNOWN}"),
    ],
)
def test_only_what_has_a_glyph_is_printed(text: str, shown: str) -> None:
    """Composed letters have glyphs of their own; what turns text around unseen is left out."""
    assert printable(text, range(0x250)) == shown
