"""`billing expire`: what it would do, what it did, and how it is taken back."""

from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from billing import ledger
from billing.clock import utc_now
from billing.db import Begin
from billing.ids import new_id
from billing.states import NotificationKind
from tests.billing.test_sweep import notes
from tests.cli.support import Billing
from tests.support.factories import add_student
from tests.support.hours import add_lot
from tests.support.sweeps import add_lots, lots_of, open_sweep

LONG_AGO = timedelta(days=9)


@pytest.fixture
def ana(begin: Begin) -> int:
    student = add_student(begin, at=utc_now())
    add_lot(begin, student, 90, at=utc_now(), expires_at=utc_now() - LONG_AGO)
    return student


def left(begin: Begin, student: int) -> int:
    return sum(lot.minutes_left for lot in lots_of(begin, student))


def test_it_sweeps_in_its_own_process(billing: Billing, begin: Begin, ana: int) -> None:
    """It needs no worker and no broker: only the database that everything is in."""
    said = billing("expire")
    assert said.status == 0
    assert said.out.startswith("run 1: 1.50 hours of 1 lot of 1 student expired in ")
    assert left(begin, ana) == 0
    assert ledger.violations(begin) == []


def test_programs_read_the_sums(billing: Billing, ana: int) -> None:
    """One JSON object on standard output, whatever the bar and the log say elsewhere."""
    told = billing("expire", "--json").json
    assert told.pop("seconds") >= 0
    assert told == {"run": 1, "students": 1, "lots": 1, "minutes": 90, "hours": "1.50"}


def test_a_dry_run_says_what_the_run_does_and_does_nothing(billing: Billing, begin: Begin, ana: int) -> None:
    """The same query, so the same figures."""
    before = billing("expire", "--dry-run", "--json").json
    assert left(begin, ana) == 90
    assert before["losses"][0]["email"] == "ana@example.com"
    after = billing("expire", "--json").json
    assert {name: before[name] for name in ("students", "lots", "minutes", "hours")} == {
        name: after[name] for name in ("students", "lots", "minutes", "hours")
    }
    assert billing("expire", "--dry-run").out == "0.00 hours of 0 lots of 0 students would expire\n"


def test_a_dry_run_lists_the_first_fifty(billing: Billing, begin: Begin) -> None:
    """A screen, and how many more there are."""
    add_lots(begin, students=60, lots_each=1, expires_at=utc_now() - LONG_AGO)
    lines = billing("expire", "--dry-run").out.splitlines()
    assert len(lines) == 52
    assert lines[0].startswith("student-1@example.com   1.00 hours  1 lot  expired ")
    assert lines[50:] == ["and 10 more students", "60.00 hours of 60 lots of 60 students would expire"]


def test_the_grace_can_be_another_one(billing: Billing, begin: Begin, ana: int) -> None:
    """Support waits longer after an outage, or not at all before an audit."""
    assert billing("expire", "--grace-hours", "240", "--json").json["lots"] == 0
    add_lot(begin, ana, 30, at=utc_now(), expires_at=utc_now())
    assert billing("expire", "--grace-hours", "0", "--json").json["lots"] == 2


def test_one_student_alone(billing: Billing, begin: Begin, ana: int) -> None:
    """The address is written as people write it."""
    (other,) = add_lots(begin, students=1, lots_each=1, expires_at=utc_now() - LONG_AGO)
    assert billing("expire", "--student", " Ana@Example.com", "--json").json["lots"] == 1
    assert (left(begin, ana), left(begin, other)) == (0, 60)


def test_an_unknown_student_is_a_line_and_nothing_else(billing: Billing, begin: Begin, ana: int) -> None:
    """A typing error must not sweep everybody."""
    said = billing("expire", "--student", "nobody@example.com")
    assert said.complaint == "no student has the address nobody@example.com"
    assert left(begin, ana) == 90


def test_students_are_told_where_that_is_asked_for(billing: Billing, begin: Begin, ana: int) -> None:
    """Otherwise nobody gets mail because somebody tidied up."""
    billing("expire")
    assert NotificationKind.EXPIRED not in {topic for topic, _ in notes(begin)}
    add_lot(begin, ana, 30, at=utc_now(), expires_at=utc_now() - LONG_AGO)
    billing("expire", "--notify")
    assert NotificationKind.EXPIRED in {topic for topic, _ in notes(begin)}


def test_a_run_is_undone(billing: Billing, begin: Begin, ana: int) -> None:
    """Once, and with a line that says why where it is not."""
    billing("expire")
    told = billing("expire", "--undo", "1", "--json").json
    assert (told["run"], told["lots"], told["hours"]) == (1, 1, "1.50")
    assert left(begin, ana) == 90
    assert billing("expire", "--undo", "1").complaint == "sweep 1 was undone already"
    assert billing("expire", "--undo", "7").complaint == "there is no sweep 7"
    assert billing("expire", "--undo", str(open_sweep(begin))).complaint == "sweep 2 is not finished"
    assert ledger.violations(begin) == []


@pytest.mark.parametrize(
    "words", [["--undo", "1", "--dry-run"], ["--undo", "1", "--student", "x"], ["--grace-hours", "-1"], ["--undo", "x"]]
)
def test_what_makes_no_sense_is_wrong_usage(billing: Billing, begin: Begin, ana: int, words: list[str]) -> None:
    """Nothing is guessed where hours are at stake."""
    assert billing("expire", *words).status == 2
    assert left(begin, ana) == 90


def databases(begin: Begin) -> set[str]:
    with begin() as session:
        return set(session.execute(text("SELECT datname FROM pg_database")).scalars())


def test_the_measurement_compares_both_ways_and_leaves_nothing_behind(billing: Billing, begin: Begin) -> None:
    """Figures of a sweep that left something over would be good ones; it checks before it tells them."""
    before = databases(begin)
    told = billing("bench", "expiry", "--lots", "500", "--json").json
    ways = ["one bare statement", "sweep, one worker", "sweep, two workers"]
    assert {name: [one["lots"] for one in told["rounds"][name]] for name in ways} == {name: [100] for name in ways}
    assert databases(begin) == before


def test_a_measurement_needs_a_role_that_may_make_databases(
    billing: Billing, begin: Begin, variables: dict[str, str]
) -> None:
    """One line that says what to give it, not a traceback."""
    role = f"nobody_{new_id().hex[:8]}"
    with begin() as session:
        session.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'x'"))
    parts = urlsplit(variables["DATABASE_URL"])
    variables["DATABASE_URL"] = urlunsplit(parts._replace(netloc=f"{role}:x@{parts.hostname}:{parts.port}"))
    assert billing("bench", "expiry").complaint.endswith("may not make a database to measure in; give it CREATEDB")
    with begin() as session:
        session.execute(text(f"DROP ROLE {role}"))
