"""A student who wants no mail gets none, as soon as somebody says so."""

from datetime import datetime

import pytest

from billing.db import Begin
from tests.cli.support import Billing
from tests.support.factories import add_student


@pytest.mark.parametrize("who", ["ANA@example.com ", "1", "user-1"])
def test_warnings_are_turned_off_and_on(billing: Billing, begin: Begin, now: datetime, who: str) -> None:
    add_student(begin, at=now, external_id="user-1")
    add_student(begin, "ana@example.com", at=now)
    asked = who if "@" not in who else "2"
    assert billing("students", "warnings", asked).out == "warnings are on\n"
    assert billing("students", "warnings", who, "--off").out == "warnings are off\n"
    assert billing("students", "warnings", asked).out == "warnings are off\n"
    assert billing("students", "warnings", "1" if asked == "2" else "2").out == "warnings are on\n"
    assert billing("students", "warnings", who, "--on").out == "warnings are on\n"


def test_programs_are_told_what_is_wished(billing: Billing, begin: Begin, now: datetime) -> None:
    add_student(begin, at=now)
    assert billing("students", "warnings", "1", "--json").json == {"warnings": True}
    assert billing("students", "warnings", "1", "--off", "--json").json == {"warnings": False}
    assert billing("students", "warnings", "eve", "--json").status == 1


def test_nobody_is_told_apart_from_somebody(billing: Billing) -> None:
    """A typing error must not look like a wish that was noted."""
    for words in ((), ("--off",)):
        assert "no student has the address or id eve" in billing("students", "warnings", "eve", *words).complaint
