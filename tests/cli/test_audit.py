"""`billing audit`: a proof that a person and a program can rely on."""

from datetime import datetime

from sqlalchemy import text

from billing.db import Begin
from tests.cli.support import Billing
from tests.support.factories import add_student
from tests.support.records import bought


def test_a_ledger_that_holds_is_said_to_hold(billing: Billing, begin: Begin, now: datetime) -> None:
    """With how much was looked at: nothing broken among no students proves nothing."""
    bought(begin, add_student(begin, at=now), at=now)
    said = billing("audit")
    assert said.status == 0
    assert said.out.startswith("every balance is the sum of its entries (1 student, 0.")
    assert "proving" in said.err


def test_a_violation_ends_with_status_1_and_its_name(billing: Billing, begin: Begin, now: datetime) -> None:
    """A job that runs it before a release stops there."""
    student_id = add_student(begin, at=now)
    bought(begin, student_id, at=now)
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 0"))
    said = billing("audit")
    assert said.status == 1
    assert said.out.splitlines()[0] == f"payments are not the value of the lots: {student_id}"
    assert said.out.splitlines()[1].startswith("1 violation (1 student, ")


def test_a_program_reads_the_proof(billing: Billing, begin: Begin, now: datetime) -> None:
    """The bar is not in its way."""
    student_id = add_student(begin, at=now)
    proof = billing("audit", "--json").json
    assert 0 < proof.pop("seconds") < 60
    assert proof == {"students": 1, "violation_count": 0, "violations": []}
    bought(begin, student_id, at=now)
    with begin() as session:
        session.execute(text("UPDATE student_balance SET paid_cents = 0"))
    said = billing("audit", "--json")
    named = {"rule": "payments are not the value of the lots", "subject": str(student_id)}
    assert (said.status, said.json["violation_count"], said.json["violations"]) == (1, 1, [named])


def test_a_command_is_an_audit_like_any_other(billing: Billing, begin: Begin) -> None:
    """What is watched is when the ledger was last proven, whoever did it."""
    billing("audit")
    with begin() as session:
        assert session.execute(text("SELECT students, violations FROM ledger_audit")).all() == [(0, 0)]
