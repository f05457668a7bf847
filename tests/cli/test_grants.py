"""Support gives, corrects and extends by command, and the audit log tells of it as of any act."""

from datetime import UTC, datetime
from getpass import getuser

import pytest
from sqlmodel import col, select

from billing import ledger
from billing.db import Begin
from billing.models import StaffAct
from billing.states import ActState
from tests.cli.support import Billing
from tests.support.factories import add_student, minutes_left
from tests.support.records import DAY, bought
from tests.support.staff import StaffRoom

WHY = ("--reason", "The teacher was ill.")


@pytest.fixture
def today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def room(begin: Begin, database_url: str, today: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, today)


@pytest.fixture
def student(begin: Begin, today: datetime) -> int:
    return add_student(begin, at=today, external_id="user-1")


def acts(begin: Begin) -> list[StaffAct]:
    with begin() as session:
        return [*session.exec(select(StaffAct).order_by(col(StaffAct.requested_at)))]


@pytest.mark.parametrize("who", ["1", "user-1"])
def test_hours_are_granted(billing: Billing, begin: Begin, student: int, who: str) -> None:
    said = billing("students", "grant", who, "--hours", "1.5", "--days", "30", *WHY, "--json")
    assert said.status == 0, said.err
    assert (said.json["action"], said.json["target"], said.json["status"]) == ("grant", f"student:{student}", "done")
    assert said.json["after"]["minutes_available"] == 90
    (act,) = acts(begin)
    assert (act.actor, act.reason, act.address) == (f"cli:{getuser()}", WHY[1], None)
    assert (act.state, str(act.id)) == (ActState.DONE, said.json["id"])
    assert minutes_left(begin, student) == 90
    assert ledger.violations(begin) == []


def test_hours_are_corrected(billing: Billing, begin: Begin, student: int) -> None:
    billing("students", "grant", "1", "--hours", "2", "--days", "30", *WHY)
    said = billing("students", "correct", "1", "--hours", "0.5", *WHY)
    assert said.status == 0, said.err
    assert "correct of student:1: done" in said.out
    assert "hours available  2.00 h  →  1.50 h" in said.out
    assert minutes_left(begin, student) == 90


def test_a_package_is_extended(billing: Billing, room: StaffRoom, student: int) -> None:
    bought(room.begin, student, at=room.now, expires_at=room.now - DAY)
    room.sweep()
    said = billing("students", "extend", "1", "--days", "30", "--from-now", *WHY)
    assert said.status == 0, said.err
    assert "hours left     0.00 h" in said.out
    assert "→  10.00 h" in said.out
    assert minutes_left(room.begin, student) == 600
    assert ledger.violations(room.begin) == []


def test_packages_are_extended_together(billing: Billing, room: StaffRoom, student: int) -> None:
    """A number that is written twice counts once; several are one act."""
    for _ in range(2):
        bought(room.begin, student, at=room.now, expires_at=room.now + DAY)
    said = billing("students", "extend", "2", "1", "2", "--days", "7", *WHY)
    assert said.status == 0, said.err
    assert "bulk_extend of purchases: done" in said.out
    assert "package 1: expires at" in said.out
    assert "package 2: expires at" in said.out
    assert [act.parameters["transaction_ids"] for act in acts(room.begin)] == [[1, 2]]


@pytest.mark.usefixtures("student")
def test_a_refusal_is_one_line_and_in_the_log(billing: Billing, begin: Begin) -> None:
    assert billing("students", "correct", "1", "--hours", "1", *WHY).complaint.startswith("only 0.00 hours are there")
    assert billing("students", "extend", "7", "--days", "1", *WHY).complaint == "there is no package 7"
    assert billing("students", "extend", "7", "8", "--days", "1", *WHY, "--json").complaint == "there is no package 7"
    assert [act.state for act in acts(begin)] == [ActState.REFUSED] * 3


def test_nobody_is_one_line_and_no_act(billing: Billing, begin: Begin) -> None:
    said = billing("students", "grant", "nobody@example.com", "--hours", "1", "--days", "1", *WHY)
    assert said.complaint.startswith("no student has the address or id")
    assert acts(begin) == []


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize(
    "words",
    [
        ("grant", "1", "--hours", "1", "--days", "1"),
        ("grant", "1", "--hours", "1", "--days", "1", "--reason", "  "),
        ("grant", "1", "--hours", "1", "--days", "1", "--reason", "x" * 501),
        *(("grant", "1", "--hours", hours, "--days", "1", *WHY) for hours in ("0", "-1", "nan", "x", "0.001", "1001")),
        *(("grant", "1", "--hours", "1", "--days", days, *WHY) for days in ("0", "1827", "x")),
        ("correct", "1", "--hours", "-1", *WHY),
        ("extend", "--days", "1", *WHY),
        ("extend", "0", "--days", "1", *WHY),
        ("extend", "x", "--days", "1", *WHY),
        ("extend", "1", "--days", "0", *WHY),
    ],
)
def test_wrong_usage_is_exit_2_and_no_act(billing: Billing, begin: Begin, words: tuple[str, ...]) -> None:
    assert billing("students", *words).status == 2
    assert acts(begin) == []
