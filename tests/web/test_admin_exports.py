"""Exports that a worker makes, as staff meet them: asked for, followed, announced, and fetched by nobody else."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from starlette.testclient import TestClient
from starlette_admin.export.helpers import escape_formula

from billing.clock import utc_now
from billing.config import Settings
from billing.db import Begin
from billing.exports import write as writing
from billing.exports.terms import KEPT
from billing.lists.cells import harmless
from billing.lists.tables import TABLES
from billing.states import PurchaseState
from tests.support.exports import add_students, load, rows_of, write
from tests.support.factories import add_purchase, add_student
from tests.support.hours import add_lot
from tests.support.records import bought
from tests.support.statements import counted
from tests.web.admin import Desk
from tests.web.admin_rows import EMAIL, Shown, add_one_of_everything
from tests.web.support import Tokens
from tests.web.test_admin_lists import LISTS, keys_in
from web.admin.lists import filters
from web.admin.lists import rows as lists
from web.admin.lists.money import PurchaseList
from web.app import create_app

PAGE = "/admin/exports"
DeskOf = Callable[..., Desk]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), client=("192.0.2.7", 4711)) as client:
        yield client


@pytest.fixture
def desk_of(client: TestClient, tokens: Tokens) -> DeskOf:
    """Somebody else before the same door; who was there has gone."""

    def come(sub: str = "boss", *roles: str) -> Desk:
        desk = Desk(client, tokens)
        assert desk.sign_in(*(roles or ("admin",)), sub=sub).status_code == 303
        return desk

    return come


@pytest.fixture
def desk(desk_of: DeskOf) -> Desk:
    return desk_of()


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST", 5)


@pytest.fixture
def shown(begin: Begin, now: datetime) -> Shown:
    return add_one_of_everything(begin, now)


def press(desk: Desk, key: str, query: str = "", **fields: Any) -> str:
    """Export all rows of a list as its page shows them; where it leads to, or the file itself."""
    path = f"_api/{key}/action?name=export&all=1&_list_query={quote(query)}"
    answer = desk.post(path, {"format": "csv", "scope": "selected", **fields}, page="acts/grant?of=1")
    assert answer.status_code in (200, 303), answer.text[-2000:]
    return answer.headers.get("location") or answer.text


def newest(begin: Begin) -> UUID:
    with begin() as session:
        found = session.execute(text("SELECT id FROM export ORDER BY requested_at DESC LIMIT 1")).scalar_one()
    return UUID(str(found))


def made(desk: Desk, begin: Begin, key: str, query: str = "", **fields: Any) -> list[dict[str, str]]:
    """As a worker makes it, however few rows there are."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lists, "MOST", -1)
        assert press(desk, key, query, **fields) == PAGE
    export_id = newest(begin)
    write(begin, export_id, now=utc_now())
    return rows_of(begin, export_id)


def news(desk: Desk) -> dict[str, object]:
    found: dict[str, object] = desk.get("exports/news").json()
    return found


@pytest.mark.usefixtures("few_at_once")
def test_an_export_that_is_too_large_is_made_by_a_worker_and_announced(
    desk: Desk, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits before a white page, and nobody has to look again and again."""
    monkeypatch.setattr(writing, "PART_ROWS", 2)
    add_students(begin, 6)
    assert press(desk, "student") == PAGE
    page = desk.get("exports").text
    assert "Your export of Students is written by a worker" in page
    assert "being written" in page
    assert news(desk) == {"ready": [], "unfinished": 1}
    export_id = newest(begin)
    assert desk.get(f"exports/{export_id}/file").status_code == 409
    assert write(begin, export_id, now=utc_now()) == 3
    file = f"{PAGE}/{export_id}/file"
    assert f'href="{file}"' in desk.get("exports").text
    assert news(desk) == {"ready": [{"title": "Students", "url": file}], "unfinished": 0}
    answer = desk.get(f"exports/{export_id}/file")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    day = load(begin, export_id).ready_at
    assert day is not None
    assert answer.headers["content-disposition"] == f'attachment; filename="students-{day.date()}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["E-mail"] for row in rows] == [f"{number}@example.com" for number in range(1, 7)]
    assert news(desk) == {"ready": [], "unfinished": 0}
    assert desk.get(f"exports/{export_id}/file").text == answer.text, "it can be fetched again"


def test_a_small_one_is_sent_at_once(desk: Desk, begin: Begin) -> None:
    add_students(begin, 6)
    assert press(desk, "student").count("@example.com") == 6
    assert news(desk) == {"ready": [], "unfinished": 0}


@pytest.mark.usefixtures("few_at_once")
def test_a_page_of_a_long_list_is_sent_at_once(desk: Desk, begin: Begin) -> None:
    """Whoever wants what stands on the page gets it, however long the list is."""
    add_students(begin, 6)
    assert "@example.com" in press(desk, "student", scope="page")


@pytest.mark.usefixtures("few_at_once")
def test_a_file_is_of_whom_has_asked_for_it_and_of_administrators(desk_of: DeskOf, begin: Begin) -> None:
    """It is full of names and addresses; that it is there is nobody's business either."""
    add_students(begin, 6)
    press(desk_of("eva", "staff"), "student")
    export_id = newest(begin)
    write(begin, export_id, now=utc_now())
    other = desk_of("bob", "staff")
    assert other.get(f"exports/{export_id}/file").status_code == 404
    assert str(export_id) not in other.get("exports").text
    assert news(other) == {"ready": [], "unfinished": 0}
    boss = desk_of("boss", "admin")
    assert str(export_id) in boss.get("exports").text
    assert boss.get(f"exports/{export_id}/file").status_code == 200
    eva = desk_of("eva", "staff")
    assert news(eva)["ready"], "she has not fetched it yet"
    for nobody in (UUID(int=1), "none"):
        assert eva.get(f"exports/{nobody}/file").status_code == 404


@pytest.mark.usefixtures("few_at_once")
def test_what_was_kept_for_a_day_is_said_to_be_gone(desk: Desk, begin: Begin) -> None:
    """Also before the night in which it is erased: until when it is kept was said."""
    add_students(begin, 6)
    press(desk, "student")
    export_id = newest(begin)
    write(begin, export_id, now=utc_now() - KEPT - timedelta(seconds=1))
    answer = desk.get(f"exports/{export_id}/file")
    assert answer.status_code == 410
    assert "ask for it anew" in answer.text
    assert "erased" in desk.get("exports").text
    assert news(desk) == {"ready": [], "unfinished": 0}


@pytest.mark.usefixtures("few_at_once")
def test_a_fourth_one_is_refused_and_the_page_says_why(desk: Desk, begin: Begin) -> None:
    add_students(begin, 6)
    for field in ("id", "email", "name", "created_at"):
        assert press(desk, "student", fields=field) == PAGE
    page = desk.get("exports").text
    assert "Nothing was asked for: 3 exports of yours are being written" in page


@pytest.mark.usefixtures("few_at_once")
def test_pressed_twice_it_is_asked_for_once(desk: Desk, begin: Begin) -> None:
    add_students(begin, 6)
    press(desk, "student")
    press(desk, "student")
    assert "was asked for already" in desk.get("exports").text
    assert news(desk)["unfinished"] == 1


@pytest.mark.usefixtures("few_at_once")
def test_a_forged_form_asks_for_nothing(desk: Desk, begin: Begin) -> None:
    add_students(begin, 6)
    path = "/admin/_api/student/action?name=export&all=1&_list_query="
    assert desk.client.post(path, data={"format": "csv", "scope": "selected"}).status_code == 403
    assert news(desk)["unfinished"] == 0


def test_news_are_one_question(desk: Desk) -> None:
    """Every page asks for them."""
    desk.get("exports/news")
    with counted() as statements:
        desk.get("exports/news")
    assert len([one for one in statements if "FROM export" in one]) == 1


def test_why_one_was_given_up_is_shown(desk: Desk, begin: Begin) -> None:
    add_students(begin, 1)
    made(desk, begin, "student")
    with begin() as session:
        session.execute(text("DELETE FROM export_part"))
        session.execute(
            text("""
                UPDATE export SET state = 'writing', ready_at = NULL, gave_up_at = now(),
                    last_error = 'more than 5,000,000 rows'
            """)
        )
    assert "more than 5,000,000 rows" in desk.get("exports").text


# --- the same as the list ---


def test_every_list_is_known_to_workers_as_it_is_to_pages(desk: Desk) -> None:
    """A list that is not would be given up by every worker."""
    home = desk.get("").text
    assert set(LISTS) == set(TABLES)
    assert [key for key in TABLES if f"/admin/{key}/list" not in home] == []


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.usefixtures("shown")
def test_a_worker_writes_what_the_page_would_have_sent(desk: Desk, begin: Begin, key: str) -> None:
    """Columns, order of columns, euros, hours, instants and names: two ways to write them would differ one day."""
    with begin() as session:
        session.execute(text("UPDATE purchase SET buyer_name = '=1+1', error_message = E'\\t@x'"))
    at_once = list(csv.DictReader(io.StringIO(press(desk, key), newline="")))
    later = made(desk, begin, key)
    assert later
    assert [*later[0]] == [*at_once[0]]
    assert sorted(map(json.dumps, later)) == sorted(map(json.dumps, at_once))


def test_only_the_chosen_columns_are_written(desk: Desk, begin: Begin, shown: Shown) -> None:
    (row,) = made(desk, begin, "purchase", fields=["transaction_id", "price_cents"])
    assert row == {"Transaction": str(shown.transaction), "Price (€)": "140.00"}


@pytest.mark.usefixtures("shown")
def test_what_is_for_administrators_is_in_no_export_of_others(
    desk_of: DeskOf, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is named or not."""
    monkeypatch.setattr(PurchaseList, "admin_fields", ("buyer_email",))
    for fields in ([], ["transaction_id", "buyer_email"]):
        (row,) = made(desk_of("eva", "staff"), begin, "purchase", fields=fields)
        assert "Buyer's e-mail" not in row
    (row,) = made(desk_of("boss", "admin"), begin, "purchase")
    assert row["Buyer's e-mail"] == EMAIL


RULES: dict[type[filters.Checked], list[tuple[str, str]]] = {
    filters.Equals: [("lot", "id__eq=1")],
    filters.AtLeast: [("lot", "id__gte=2")],
    filters.AtMost: [("lot", "id__lte=1")],
    filters.CentsEqual: [("version", "price_cents__eq=140.00")],
    filters.CentsAtLeast: [("version", "price_cents__gte=140.00")],
    filters.CentsAtMost: [("version", "price_cents__lte=139.99")],
    filters.MinutesEqual: [("version", "minutes__eq=10")],
    filters.MinutesAtLeast: [("version", "minutes__gte=10")],
    filters.MinutesAtMost: [("version", "minutes__lte=9.99")],
    filters.From: [("purchase", 'accepted_at__from="2026-03-02T12:01"')],
    filters.Before: [("purchase", 'accepted_at__before="2026-03-02T12:01"')],
    filters.Is: [("purchase", "state__eq=completed"), ("entry", "source__eq=of-ben")],
    filters.IsNot: [("purchase", "state__neq=completed")],
    filters.IsAmong: [("purchase", "state__in=queued,failed")],
    filters.HasText: [("version", "name__contains=STANDARD")],
    filters.IsUuid: [],  # of columns that no list shows: below
    filters.OfStudent: [("lot", f"student_id__eq={EMAIL}"), ("lot", "student_id__eq={student}")],
    filters.OfPurchase: [("lot", "purchase_id__eq={transaction}")],
    filters.IsNull: [("purchase", "paid_at__is_null")],
    filters.IsNotNull: [("purchase", "paid_at__is_not_null")],
    filters.IsTrue: [("student", "email_verified__is_true")],
    filters.IsFalse: [("student", "email_verified__is_false")],
}
TOGETHER = [
    ("purchase", "filter", "state__eq=completed AND price_cents__gte=1"),
    ("purchase", "filter", "state__eq=queued OR (state__eq=completed AND transaction_id__lte=1)"),
    ("lot", "q", EMAIL),
    ("purchase", "q", "{transaction}"),
]
NAMES = {"letter": "Row", "purchase": "Task"}


def test_every_way_to_narrow_a_list_is_tried_here() -> None:
    tried = {kind for kind in vars(filters).values() if isinstance(kind, type) and "check" in vars(kind)}
    assert tried == set(RULES)


OF_BEN = (
    "UPDATE student SET email_verified = true, external_id = 'ben', name = 'Ben' WHERE id = :student",
    "UPDATE hour_lot SET source = 'lot-of-ben' WHERE id = :lot",
    """
    INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, at)
    VALUES (:student, 'credit', 1, 1, 'of-ben', now())
    """,
)


def several(begin: Begin, at: datetime) -> None:
    """Others, whom most conditions do not fit."""
    later = at + timedelta(days=1)
    ben = add_student(begin, "ben@other.example", at=later)
    bought(begin, ben, at=later)
    add_purchase(begin, at=later, state=PurchaseState.QUEUED)
    lot = add_lot(begin, ben, 60, at=later, expires_at=later + timedelta(days=9))
    with begin() as session:
        for statement in OF_BEN:
            session.execute(text(statement), {"student": ben, "lot": lot})


@pytest.mark.parametrize(
    ("key", "name", "rule"),
    [(key, "filter", rule) for rules in RULES.values() for key, rule in rules] + TOGETHER,
)
def test_list_and_export_select_the_same_rows(
    desk: Desk, begin: Begin, shown: Shown, now: datetime, key: str, name: str, rule: str
) -> None:
    """Whoever narrowed a list and exports it believes what he saw."""
    several(begin, now)
    rule = rule.format(**{field: str(getattr(shown, field)) for field in shown.__dataclass_fields__})
    everything = keys_in(desk, f"{key}/list", page_size="100")
    listed = keys_in(desk, f"{key}/list", page_size="100", **{name: rule})
    assert 0 < len(listed) < len(everything)
    rows = made(desk, begin, key, f"?{name}={quote(rule)}")
    assert sorted(row[NAMES.get(key, "Number")] for row in rows) == sorted(listed)


def test_an_id_selects_its_row(desk: Desk, begin: Begin, shown: Shown, now: datetime) -> None:
    several(begin, now)
    (row,) = made(desk, begin, "purchase", f"?filter=id__eq={shown.purchase}")
    assert row["Task"] == str(shown.purchase)


@given(st.text(alphabet=st.sampled_from(" \t\r\n\x0b\x0c=+-@'a1")))
def test_no_cell_is_a_formula(cell: str) -> None:
    """In a file of a worker as in one that a page sends."""
    assert harmless(cell) == escape_formula(cell)
