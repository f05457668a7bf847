"""Tests share a database one after the other: nothing that one does may be seen by the next."""

import psycopg
import pytest

from tests.support.database import Databases, Fresh

STUDENT = """
    INSERT INTO student (email, email_verified, name, created_at) VALUES ('a@b.example', false, 'A', now()) RETURNING id
"""
ENTRY = """
    INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, at)
    VALUES (%s, 'credit', 60, 60, 'grant:1', now())
"""


def _execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _state(url: str) -> tuple[object, ...]:
    """Everything that a copy of the template holds."""
    with psycopg.connect(url) as connection:
        fresh = Fresh.read(connection)
        return fresh.rows, fresh.sequences, fresh.schema


def test_rows_and_numbers_of_one_test_are_not_there_for_the_next(databases: Databases) -> None:
    """Those of the ledger, which nothing else can delete, and the plans that it begins with, among them."""
    with databases.lent() as url:
        before = _state(url)
        with psycopg.connect(url) as connection:
            (student_id,) = connection.execute(STUDENT).fetchone() or (None,)
            connection.execute("SET session_replication_role = replica")
            connection.execute(ENTRY, [student_id])
            connection.execute("UPDATE pricing_plan SET is_active = NOT is_active")
            connection.execute("DELETE FROM pricing_plan_version WHERE version = 1")
        assert _state(url) != before
    with databases.lent() as again:
        assert (again, _state(again)) == (url, before)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE student DROP CONSTRAINT pk_student CASCADE",
        "ALTER TABLE hour_entry DISABLE TRIGGER ALL",
        "DROP INDEX ix_hour_entry_student",
        "CREATE TABLE more (id int)",
        "ALTER TABLE purchase ALTER COLUMN currency SET DEFAULT 'usd'",
        "DROP VIEW dead_letter",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA other",
        "REVOKE SELECT ON student FROM CURRENT_USER",
    ],
)
def test_a_database_whose_schema_was_changed_is_not_lent_again(databases: Databases, change: str) -> None:
    with databases.lent() as url:
        before = _state(url)
        _execute(url, change)
    with databases.lent() as other:
        assert other != url
        assert _state(other) == before


def test_who_still_holds_a_lock_does_not_keep_the_next_test_waiting(databases: Databases) -> None:
    with databases.lent() as url:
        left_open = psycopg.connect(url)
        left_open.execute("LOCK TABLE student")
    with databases.lent() as again:
        _execute(again, "LOCK TABLE student NOWAIT")
    left_open.close()
