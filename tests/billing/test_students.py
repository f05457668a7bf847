"""Whose hours a purchase brings: the same student for all who ask, and never a stranger's account."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from sqlmodel import Session, col, select

from billing import db, students
from billing.db import Begin
from billing.models import Purchase, Student
from billing.students import Identity
from tests.support.database import TEMPLATE, connect
from tests.support.factories import add_purchase
from tests.support.servers import RunningPostgres

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ANA, EVA = "ana@example.com", "eva@example.com"

Row = tuple[str | None, str, bool]
"""The account at the platform, the address, and whether the account proved it."""

GUEST: Row = (None, ANA, False)
ACCOUNT: Row = ("sub-1", ANA, True)


@dataclass(frozen=True)
class Buying:
    """Who asks, for which address."""

    sub: str | None = None
    email: str | None = None
    verified: bool = False
    for_address: str = ANA

    def purchase(self) -> Purchase:
        facts: dict[str, Any] = {
            "caller_sub": self.sub,
            "caller_email": self.email,
            "caller_email_verified": self.verified,
            "buyer_email": self.for_address,
            "buyer_name": "Somebody",
        }
        return Purchase(**facts)


@dataclass(frozen=True)
class Case:
    what: str
    known: tuple[Row, ...]
    buying: Buying
    student: Row
    """Whose the hours are, as the row looks afterwards."""
    is_new: bool = False


BY_GUEST = Buying()
BY_ACCOUNT = Buying("sub-1", ANA, verified=True)
BY_SECOND_ACCOUNT = Buying("sub-2", ANA, verified=True)
BY_UNVERIFIED = Buying("sub-2", ANA, verified=False)
FOR_ANOTHER = Buying("sub-2", EVA, verified=True)

CASES = [
    Case("a guest", (), BY_GUEST, GUEST, is_new=True),
    Case("a guest again", (GUEST,), BY_GUEST, GUEST),
    Case("a guest for an address that an account proved", (ACCOUNT,), BY_GUEST, ACCOUNT),
    Case("a guest where an account claims the address", (("sub-2", ANA, False),), BY_GUEST, GUEST, is_new=True),
    Case("a guest where a guest and a proof are", (GUEST, ACCOUNT), BY_GUEST, ACCOUNT),
    Case("a verified caller", (), BY_ACCOUNT, ACCOUNT, is_new=True),
    Case("a verified caller again", (ACCOUNT,), BY_ACCOUNT, ACCOUNT),
    Case("a verified caller who was a guest", (GUEST,), BY_ACCOUNT, ACCOUNT),
    Case("a verified caller with a new address", (("sub-1", EVA, True),), BY_ACCOUNT, ("sub-1", EVA, True)),
    Case("a verified caller who once was not", (("sub-1", ANA, False),), BY_ACCOUNT, ("sub-1", ANA, False)),
    Case("a verified caller for a new address", (), FOR_ANOTHER, GUEST, is_new=True),
    Case("a verified caller for a guest", (GUEST,), FOR_ANOTHER, GUEST),
    Case("a verified caller for another account", (ACCOUNT,), FOR_ANOTHER, ACCOUNT),
    Case("an unverified caller", (), BY_UNVERIFIED, GUEST, is_new=True),
    Case("an unverified caller for a guest", (GUEST,), BY_UNVERIFIED, GUEST),
    Case("an unverified caller for a proven address", (ACCOUNT,), BY_UNVERIFIED, ACCOUNT),
    Case("a second account", (ACCOUNT,), BY_SECOND_ACCOUNT, ("sub-2", ANA, False), is_new=True),
    Case("a second account beside a guest", (GUEST, ACCOUNT), BY_SECOND_ACCOUNT, ("sub-2", ANA, False), is_new=True),
    Case("a second account again", (ACCOUNT, ("sub-2", ANA, False)), BY_SECOND_ACCOUNT, ("sub-2", ANA, False)),
]


def find(session: Session, buying: Buying) -> int:
    return students.find_or_make(session, Identity.of(buying.purchase()), at=NOON)


def rows(session: Session) -> dict[int | None, Row]:
    found = session.exec(select(Student).order_by(col(Student.id)))
    return {row.id: (row.external_id, row.email, row.email_verified) for row in found}


def add(session: Session, *known: Row) -> None:
    for external_id, email, verified in known:
        facts: dict[str, Any] = {"external_id": external_id, "email": email, "email_verified": verified}
        session.add(Student(name="Ana", created_at=NOON, **facts))
    session.flush()


@pytest.fixture(scope="module")
def nobody(postgres: RunningPostgres) -> Iterator[Begin]:
    """A database without students, for tests that take back what they do."""
    postgres.create_database("students", template=TEMPLATE)
    engine = connect(postgres.url("students"))
    yield partial(db.begin, engine)
    engine.dispose()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_hours_go_to_the_student_of_the_address(nobody: Begin, case: Case) -> None:
    """Hours follow the address; an account is given nothing by an address that it did not prove."""
    with nobody() as session:
        add(session, *case.known)
        before = rows(session)
        student_id = find(session, case.buying)
        after = rows(session)
        again = find(session, case.buying)
        assert rows(session) == after
        session.rollback()
    assert again == student_id
    assert after[student_id] == case.student
    assert (student_id not in before) == case.is_new
    assert {key: row for key, row in before.items() if key != student_id}.items() <= after.items()


@pytest.mark.parametrize(
    ("buying", "external_id"),
    [
        (BY_ACCOUNT, "sub-1"),
        (BY_GUEST, None),
        (BY_UNVERIFIED, None),
        (FOR_ANOTHER, None),
        (Buying("sub-1", None, verified=True), None),
    ],
)
def test_only_a_proven_own_address_names_an_account(buying: Buying, external_id: str | None) -> None:
    """A caller who buys for a friend must not end up with the friend's hours."""
    assert Identity.of(buying.purchase()) == Identity(ANA, "Somebody", external_id)


def test_a_made_student_is_named_as_the_buyer_said(begin: Begin) -> None:
    """Receipts are made out to that name."""
    with begin() as session:
        student = session.get_one(Student, find(session, BY_GUEST))
    assert (student.name, student.created_at) == ("Somebody", NOON)


def _all_at_once(begin: Begin, asking: Callable[[int], Buying], threads: int = 10) -> set[int]:
    start = Barrier(threads)

    def ask(number: int) -> int:
        start.wait(timeout=10)
        with begin() as session:
            return find(session, asking(number))

    with ThreadPoolExecutor(threads) as pool:
        return set(pool.map(ask, range(threads)))


@pytest.mark.parametrize("buying", [BY_GUEST, BY_ACCOUNT, FOR_ANOTHER], ids=["guest", "account", "for another"])
def test_ten_at_once_are_one_student(begin: Begin, buying: Buying) -> None:
    """A click on ten plans in ten tabs gives one account with all hours in it."""
    assert len(_all_at_once(begin, lambda _: buying)) == 1
    with begin() as session:
        assert len(rows(session)) == 1


def test_a_guest_is_adopted_once_by_ten_at_once(begin: Begin) -> None:
    """The first purchases after signing up come together as well."""
    with begin() as session:
        add(session, GUEST)
    (student_id,) = _all_at_once(begin, lambda _: BY_ACCOUNT)
    with begin() as session:
        assert rows(session) == {student_id: ACCOUNT}


def test_of_two_accounts_at_once_one_proves_the_address(begin: Begin) -> None:
    """Whoever comes second stands beside the first and takes nothing from it."""
    with begin() as session:
        add(session, GUEST)
    found = _all_at_once(begin, lambda number: BY_ACCOUNT if number % 2 else BY_SECOND_ACCOUNT)
    assert len(found) == 2
    with begin() as session:
        after = list(rows(session).values())
    assert [verified for _, _, verified in after].count(True) == 1
    assert {external_id for external_id, _, _ in after} == {"sub-1", "sub-2"}


def test_a_purchase_of_the_database_names_its_student(begin: Begin) -> None:
    """The facts that the door kept are all that a worker needs."""
    purchase = add_purchase(begin, at=NOON, email=EVA)
    with begin() as session:
        student_id = students.find_or_make(session, Identity.of(purchase), at=NOON)
        assert rows(session)[student_id] == (None, EVA, False)
