"""Exports by a worker: every row once, whoever is killed; bounded, kept for a day, and erased."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from billing.db import Begin
from billing.deadletters.names import LetterName
from billing.deadletters.reopen import reopen
from billing.exports import write as writing
from billing.exports.accept import TooManyExportsError
from billing.exports.terms import KEPT
from billing.exports.write import write_export
from billing.lists.selection import Check, Column, Condition, Group, Kind, Selection
from billing.lists.slices import read_slice
from billing.messages import EraseShortLived, WriteExport
from billing.models import Export
from billing.retention import drop_old_rows, erase_short_lived
from billing.states import ExportState
from billing.ticks import TICKS
from tests.support.exports import COLUMNS, add_students, ask, load, parts_of, rows_of, students_named, write
from tests.support.factories import add_event
from tests.support.leases import UnrenewedLeases

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PART_ROWS", 10)


def run(begin: Begin, statement: str, **values: Any) -> None:
    with begin() as session:
        session.execute(text(statement), values)


@pytest.mark.parametrize(("students", "parts"), [(25, [10, 10, 5]), (20, [10, 10]), (1, [1]), (0, [0])], ids=str)
def test_every_row_is_written_once_in_the_order_of_its_key(
    begin: Begin, database_url: str, now: datetime, students: int, parts: list[int]
) -> None:
    """Whoever sums a column up has to be able to rely on it; and one part at a time leaves room for other work."""
    add_students(begin, 3, name="other.example")
    add_students(begin, students)
    export_id = ask(database_url, students_named(), at=now).id
    assert write(begin, export_id, now=now) == len(parts)
    assert [part.rows for part in parts_of(begin, export_id)] == parts
    expected = [{"Number": str(number + 3), "E-mail": f"{number}@example.com"} for number in range(1, students + 1)]
    assert rows_of(begin, export_id) == expected
    export = load(begin, export_id)
    assert (export.state, export.rows, export.ready_at, export.due_at) == (ExportState.READY, students, now, None)


def test_the_header_stands_once_and_each_part_is_whole(begin: Begin, database_url: str, now: datetime) -> None:
    """A part can be sent by itself: after the others it needs nothing of them."""
    add_students(begin, 12)
    export_id = ask(database_url, students_named(), at=now).id
    write(begin, export_id, now=now)
    first, second = (gzip.decompress(part.body).decode() for part in parts_of(begin, export_id))
    assert first.startswith("Number,E-mail\r\n1,1@example.com\r\n")
    assert second == "11,11@example.com\r\n12,12@example.com\r\n"


def test_a_repeated_message_writes_nothing_twice(begin: Begin, database_url: str, now: datetime) -> None:
    add_students(begin, 5)
    export_id = ask(database_url, students_named(), at=now).id
    for _ in range(3):
        assert write_export(begin, UnrenewedLeases(), WriteExport(export_id=export_id), now=now) == []
    assert [part.rows for part in parts_of(begin, export_id)] == [5]


def test_rows_with_a_key_of_two_columns_are_each_written_once(begin: Begin, database_url: str, now: datetime) -> None:
    for number in range(25):
        add_event(begin, {"id": f"evt_{number}", "type": "any"}, at=now)
    run(begin, "UPDATE webhook_event SET due_at = NULL, hint_at = NULL, gave_up_at = now(), state = 'dead'")
    name = Column(name="subject", label="Row", kind=Kind.LETTER)
    selection = Selection(list_name="letter", title="Dead letters", columns=(name,))
    export_id = ask(database_url, selection, at=now).id
    write(begin, export_id, now=now)
    rows = [row["Row"] for row in rows_of(begin, export_id)]
    assert sorted(rows) == sorted(f"webhook_event:{number}" for number in range(1, 26))


# --- what is asked for ---


def test_the_same_rows_asked_for_again_at_once_are_one_export(begin: Begin, database_url: str, now: datetime) -> None:
    """Somebody presses twice, or goes back and forth; a minute later he may want what is new."""
    first = ask(database_url, students_named(), at=now)
    again = ask(database_url, students_named(), at=now + timedelta(seconds=59))
    others = [
        ask(database_url, students_named(), at=now + timedelta(seconds=60)),
        ask(database_url, students_named("another"), at=now),
        ask(database_url, students_named(), at=now, sub="somebody else"),
    ]
    assert (again.id, again.is_replay, first.is_replay) == (first.id, True, False)
    assert not any(one.is_replay for one in others)


def test_one_person_has_three_exports_under_way_at_most(begin: Begin, database_url: str, now: datetime) -> None:
    """Nobody keeps the workers from their work by pressing a button often; others are not held up by it."""
    first, *_ = [ask(database_url, students_named(f"name {number}"), at=now).id for number in range(3)]
    with pytest.raises(TooManyExportsError, match="3 exports of yours"):
        ask(database_url, students_named("a fourth"), at=now)
    assert not ask(database_url, students_named("a fourth"), at=now, sub="somebody else").is_replay
    write(begin, first, now=now)
    assert not ask(database_url, students_named("a fourth"), at=now).is_replay


def test_three_at_most_are_accepted_however_many_are_asked_for_at_once(
    begin: Begin, database_url: str, now: datetime
) -> None:
    def one(number: int) -> bool:
        try:
            ask(database_url, students_named(f"name {number}"), at=now)
        except TooManyExportsError:
            return False
        return True

    with ThreadPoolExecutor(6) as several:
        accepted = [*several.map(one, range(6))]
    assert sum(accepted) == 3


# --- what cannot be written ---


NOWHERE = Group(parts=(Condition(field="shoe_size", check=Check.EQUALS, value=1),))
NO_TIME = Group(parts=(Condition(field="created_at", check=Check.BEFORE, value="yesterday"),))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"list_name": "weather"}, "there is no list weather"),
        ({"columns": (Column(name="shoe_size", label="Shoe", kind=Kind.NUMBER),)}, "student has no column shoe_size"),
        ({"where": NOWHERE}, "student has no column shoe_size"),
        ({"where": NO_TIME}, "created_at holds nothing like 'yesterday'"),
    ],
    ids=["list", "column", "condition", "value"],
)
def test_what_there_is_not_any_more_is_given_up_with_a_reason(
    begin: Begin, database_url: str, now: datetime, change: dict[str, Any], reason: str
) -> None:
    """It was asked for before an update, and no try will mend it."""
    export_id = ask(database_url, students_named().model_copy(update=change), at=now).id
    write(begin, export_id, now=now)
    export = load(begin, export_id)
    assert export.gave_up_at is not None
    assert reason in (export.last_error or "")


def test_a_selection_that_nobody_understands_is_given_up(begin: Begin, database_url: str, now: datetime) -> None:
    export_id = ask(database_url, students_named(), at=now).id
    run(begin, """UPDATE export SET selection = selection || '{"sorted": "by colour"}'""")
    write(begin, export_id, now=now)
    assert "sorted" in (load(begin, export_id).last_error or "")


def test_more_rows_than_anybody_can_read_end_with_a_word(
    begin: Begin, database_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of the whole is a backup, and that is another thing."""
    monkeypatch.setattr(writing, "MOST_ROWS", 20)
    add_students(begin, 20)
    whole = ask(database_url, students_named(), at=now).id
    write(begin, whole, now=now)
    assert load(begin, whole).state is ExportState.READY
    add_students(begin, 1, name="one.more")
    everybody = Selection(list_name="student", title="Students", columns=COLUMNS)
    export_id = ask(database_url, everybody, at=now).id
    write(begin, export_id, now=now)
    export = load(begin, export_id)
    assert (export.state, export.rows, export.due_at) == (ExportState.WRITING, 20, None)
    assert export.last_error == "more than 20 rows: narrow the list, and ask for it part by part"


# --- how long it is kept ---


def test_what_is_ready_is_erased_after_a_day_and_who_asked_stays_known(
    begin: Begin, database_url: str, now: datetime
) -> None:
    """Names and addresses are not left lying about; an auditor still sees who has had them."""
    add_students(begin, 15)
    export_id = ask(database_url, students_named(), at=now).id
    write(begin, export_id, now=now)
    drop_old_rows(begin, now=now + KEPT - MICROSECOND)
    assert len(parts_of(begin, export_id)) == 2
    drop_old_rows(begin, now=now + KEPT)
    assert parts_of(begin, export_id) == []
    export = load(begin, export_id)
    assert (export.state, export.erased_at, export.sub) == (ExportState.ERASED, now + KEPT, "boss")
    assert Selection.model_validate(export.selection) == students_named()


def test_many_are_erased_in_one_night(begin: Begin, database_url: str, now: datetime) -> None:
    """Their parts are large, so they go a few at a time, and all of them."""
    for number in range(12):
        write(begin, ask(database_url, students_named(f"name {number}"), at=now).id, now=now)
    drop_old_rows(begin, now=now + KEPT)
    with begin() as session:
        assert session.execute(text("SELECT count(*) FROM export WHERE state = 'erased'")).scalar_one() == 12


def test_what_was_given_up_is_erased_too_and_begins_anew(
    begin: Begin, database_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_students(begin, 25)
    export_id = ask(database_url, students_named(), at=now).id
    monkeypatch.setattr(writing, "MOST_ROWS", 20)
    write(begin, export_id, now=now)
    drop_old_rows(begin, now=now + 2 * KEPT)
    assert len(parts_of(begin, export_id)) == 2, "by the database's time it has just given up"
    run(begin, "UPDATE export SET gave_up_at = gave_up_at - interval '25 hours'")
    drop_old_rows(begin, now=now)
    assert (parts_of(begin, export_id), load(begin, export_id).rows) == ([], 0)
    monkeypatch.undo()
    with begin() as session:
        reopen(session, LetterName("export", str(export_id)))
    write(begin, export_id, now=now)
    assert len({row["Number"] for row in rows_of(begin, export_id)}) == len(rows_of(begin, export_id)) == 25


def test_a_replay_goes_on_where_it_gave_up(
    begin: Begin, database_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_students(begin, 25)
    export_id = ask(database_url, students_named(), at=now).id
    with monkeypatch.context() as for_now:
        for_now.setattr(writing, "MOST_ROWS", 20)
        write(begin, export_id, now=now)
    with begin() as session:
        reopen(session, LetterName("export", str(export_id)))
    assert write(begin, export_id, now=now) == 1
    assert len({row["Number"] for row in rows_of(begin, export_id)}) == len(rows_of(begin, export_id)) == 25


def test_a_slow_condition_is_waited_for(begin: Begin, database_url: str, now: datetime) -> None:
    """A table of millions takes longer to look through than what a request may wait."""
    add_students(begin, 1)
    export_id = ask(database_url, students_named(), at=now).id
    allowed: list[str] = []
    seen = partial(_note_bound, allowed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "read_slice", seen)
        write_export(begin, UnrenewedLeases(), WriteExport(export_id=export_id), now=now)
    assert allowed == ["1min"]
    with begin() as session:
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == "5s"
        assert session.get_one(Export, export_id).state is ExportState.READY


def _note_bound(allowed: list[str], session: Any, *arguments: Any) -> Any:
    allowed.append(session.execute(text("SHOW statement_timeout")).scalar_one())
    return read_slice(session, *arguments)


def test_what_staff_exported_is_gone_within_an_hour_of_its_day(begin: Begin, database_url: str, now: datetime) -> None:
    """The page says that it is kept for a day; the weekly look would make that eight."""
    add_students(begin, 15)
    export_id = ask(database_url, students_named(), at=now).id
    write(begin, export_id, now=now)
    assert TICKS[EraseShortLived].every == timedelta(hours=1)
    erase_short_lived(begin, now=now + KEPT - MICROSECOND)
    assert len(parts_of(begin, export_id)) == 2
    erase_short_lived(begin, now=now + KEPT)
    assert (parts_of(begin, export_id), load(begin, export_id).state) == ([], ExportState.ERASED)
