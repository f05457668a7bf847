"""Names of people of every script are names; what is none is refused with words."""

import pytest

from web.emails import normalised
from web.errors import HttpError
from web.schemas import StudentInfo


def accepts(name: object = "Ana", email: object = "ana@example.com") -> bool:
    try:
        StudentInfo.of({"name": name, "email": email})
    except HttpError as error:
        return error.problem.status != 400
    return True


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "João d'Ávila",
        "O’Neill",
        "Anne-Marie St. John",
        "محمد عبد الله",
        "李小龍",
        "Nguyễn Văn A",
        "नरेंद्र",
        "x" * 150,
        "  Ana  ",
    ],
)
def test_a_name_may_be_of_any_script(name: str) -> None:
    assert accepts(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "x" * 151,
        "Ana1",
        "Ana\nEva",
        "A\tB",
        "<b>Ana</b>",
        "Ana;--",
        "Ana\0",
        "Ana😀",
        "Ana\u202eanA",
        "Ana_Eva",
        None,
        7,
        ["Ana"],
    ],
)
def test_a_name_is_letters_and_a_little_punctuation(name: object) -> None:
    """It is printed on receipts and pages, and put into mails."""
    assert not accepts(name)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (" Ana@Example.COM ", "ana@example.com"),
        ("a.b+c@sub.example.pt", "a.b+c@sub.example.pt"),
        ("ana@school.test", "ana@school.test"),
        ("josé@exemplo.pt", "josé@exemplo.pt"),
        ("ana@xn--mnchen-3ya.de", "ana@münchen.de"),
        (f"{'a' * 64}@{'b' * 61}.{'c' * 61}.{'d' * 61}.pt", f"{'a' * 64}@{'b' * 61}.{'c' * 61}.{'d' * 61}.pt"),
    ],
)
def test_an_address_has_one_form(given: str, stored: str) -> None:
    """Limits, students and guests are told apart by it."""
    assert normalised(given) == stored == normalised(stored)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ana",
        "@",
        "ana@",
        "@example.com",
        "ana@example",
        "ana@localhost",
        "ana@@example.com",
        "ana@exa mple.com",
        "ana@example..com",
        ".ana@example.com",
        "ana@[127.0.0.1]",
        '"ana"@example.com',
        "Ana <ana@example.com>",
        "ana@example.com\0",
        "ana@example.com, eva@example.com",
        "ana@exam\nple.com",
        f"a@{'b.' * 130}com",
        "x" * 60_000,
        None,
        7,
    ],
)
def test_what_is_no_address_is_refused(email: object) -> None:
    assert not accepts(email=email)
