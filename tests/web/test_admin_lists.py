"""Every list and the page of every row: opened, searched, narrowed, exported, and never a way to change anything."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from billing.config import Settings
from billing.db import Begin
from billing.ids import new_id
from tests.support.factories import add_event, add_purchase, add_student, event_body
from tests.support.records import bought
from tests.support.statements import counted
from tests.web.admin import Desk
from tests.web.admin_rows import EMAIL, Shown, add_one_of_everything
from tests.web.support import Tokens
from web.admin.site import AdminSite
from web.app import create_app
from web.door import Door

LISTS = {
    "student": EMAIL,
    "mail": "low_balance",
    "purchase": "140.00",
    "refund": "re_shown",
    "dispute": "du_shown",
    "subscription": "sub_shown",
    "card": "4242",
    "receipt": "77",
    "plan": "standard",
    "version": "140.00",
    "lot": "9.00",
    "entry": "consume",
    "consumption": "lesson-7",
    "sweep": "nightly",
    "event": "payment_intent.succeeded",
    "letter": "ValueError",
    "finding": "They differ by a cent.",
    "case": "Look at it.",
    "reconciliation": "events",
    "act": "Ana was ill.",
    "sign-in": "boss",
}
"""What is seen in each."""

ROW = re.compile(r'<tr data-sa-pk="([^"]+)"')


@pytest.fixture
def desk(settings: Settings, tokens: Tokens) -> Iterator[Desk]:
    with TestClient(create_app(settings), client=("192.0.2.7", 4711)) as client:
        desk = Desk(client, tokens)
        assert desk.sign_in("admin").status_code == 303
        yield desk


@pytest.fixture
def shown(begin: Begin, now: datetime) -> Shown:
    return add_one_of_everything(begin, now)


def keys_in(desk: Desk, path: str, **parameters: str) -> list[str]:
    answer = desk.get(path, **parameters)
    assert answer.status_code == 200, answer.text[-2000:]
    return ROW.findall(answer.text)


@pytest.mark.usefixtures("shown")
def test_every_list_and_every_row_of_it_opens(desk: Desk) -> None:
    """Nothing that staff may look for is behind an error."""
    for key, seen in LISTS.items():
        listed = desk.get(f"{key}/list")
        assert (key, listed.status_code) == (key, 200)
        assert seen in listed.text, key
        (first, *_) = ROW.findall(listed.text)
        assert desk.get(f"{key}/detail", pk=first).status_code == 200, key
        assert f"/admin/{key}/list" in desk.get("").text


def test_sign_ins_are_for_administrators(desk: Desk) -> None:
    """Who watches whom is not for everybody on staff; the name of a row opens nothing by itself."""
    (row,) = keys_in(desk, "sign-in/list", q="boss")
    assert "admin" in desk.get("sign-in/detail", pk=row).text
    assert keys_in(desk, "sign-in/list", q="nobody") == []
    desk.client.cookies.clear()
    desk.sign_in("staff")
    for path in ("sign-in/list", f"sign-in/detail?pk={row}"):
        assert desk.get(path).status_code == 403
    assert "sign-in/list" not in desk.get("").text


@pytest.mark.usefixtures("shown")
def test_no_row_can_be_made_edited_or_deleted(desk: Desk) -> None:
    """What is in the tables is written by use cases, each with its audit."""
    for key in LISTS:
        listed = desk.get(f"{key}/list").text
        pk = ROW.findall(listed)[0]
        assert desk.get(f"{key}/create").status_code == 403
        assert desk.get(f"{key}/edit", pk=pk).status_code == 403
        for action in ("delete", "edit"):
            path = f"_api/{key}/row-action?name={action}&pk={pk}"
            answer = desk.post(path, {}, page="acts/grant?of=1")
            assert answer.status_code == 400, (key, action, answer.text)
        assert desk.post(f"_api/{key}/import", {}, page="acts/grant?of=1").status_code == 403


def test_its_connection_cannot_write(settings: Settings, begin: Begin, shown: Shown) -> None:
    """Whatever a page of it may come to do by mistake, the database refuses."""
    site = AdminSite(Door(settings))
    with site._engine.connect() as connection, pytest.raises(DBAPIError, match="read-only"):
        connection.execute(text("UPDATE student SET name = 'x'"))
    site.close()


@pytest.mark.parametrize(
    ("key", "terms"),
    [
        ("student", ("{student}", EMAIL, "ANA@example", "ana")),
        (
            "purchase",
            ("{transaction}", "#{transaction}", "{purchase}", "{intent}", "{event}", EMAIL, "Ana", "ana@"),
        ),
        ("refund", ("{transaction}", "{intent}", "re_shown")),
        ("dispute", ("{transaction}", "{intent}", "du_shown")),
        ("subscription", ("sub_shown", "cus_shown", EMAIL, "Ana")),
        ("card", ("pm_shown", "4242", EMAIL)),
        ("receipt", ("{transaction}", "{intent}", "77")),
        ("lot", ("{transaction}", "{intent}", EMAIL, "Ana")),
        ("entry", ("{transaction}", EMAIL, "purchase:{purchase}:paid")),
        ("consumption", ("lesson-7", EMAIL)),
        ("mail", (EMAIL, "balance:low")),
        ("event", ("{event}", "{intent}", "{transaction}", "payment_intent.succeeded")),
        ("letter", ("{event_number}", "nothing fits", "webhook_event")),
        ("finding", ("pi_elsewhere", "{transaction}", "{intent}", "by a cent")),
        ("case", ("{transaction}", "evt_case", "look at")),
        ("act", ("purchase:{transaction}", "boss", "was ill", "{act}", "request-of-an-act")),
        ("version", ("Standard",)),
    ],
)
def test_a_row_is_found_by_what_people_have_at_hand(
    desk: Desk, begin: Begin, shown: Shown, now: datetime, key: str, terms: tuple[str, ...]
) -> None:
    """Others are there too, and are not found."""
    other = add_student(begin, "ben@other.example", at=now)
    bought(begin, other, at=now)
    begin_name = "UPDATE student SET name = 'Ben' WHERE id = :id"
    with begin() as session:
        session.execute(text(begin_name), {"id": other})
        session.execute(
            text("UPDATE purchase SET buyer_name = 'Ben', buyer_email = 'ben@other.example' WHERE student_id = :id"),
            {"id": other},
        )
    facts = {name: str(getattr(shown, name)) for name in shown.__dataclass_fields__}
    for term in terms:
        found = keys_in(desk, f"{key}/list", q=term.format(**facts))
        assert found, (key, term)
        assert len(found) < 3, (key, term)
    for nonsense in ("nobody@nowhere.example", "987654321", "pi_none", "evt_none", "%", "\0", "'", "x" * 500):
        assert keys_in(desk, f"{key}/list", q=nonsense) == [], (key, nonsense)


@pytest.mark.parametrize(
    ("key", "rule", "count"),
    [
        ("purchase", "state__eq=completed", 1),
        ("purchase", "state__eq=failed", 0),
        ("purchase", "price_cents__gte=140.00", 1),
        ("purchase", "price_cents__lte=139.99", 0),
        ("purchase", 'accepted_at__from="2026-03-02T12:00"', 1),
        ("purchase", 'accepted_at__before="2026-03-02T12:00"', 0),
        ("lot", "minutes_left__eq=9", 1),
        ("lot", f"student_id__eq={EMAIL}", 1),
        ("lot", "student_id__eq=999", 0),
        ("entry", "kind__in=consume,expire", 1),
        ("refund", "purchase_id__eq=1", 1),
        ("version", "plan_id__eq=2", 1),
        ("event", "type__contains=succeeded AND state__eq=dead", 1),
        ("letter", "state__eq=dead", 1),
    ],
)
@pytest.mark.usefixtures("shown")
def test_a_list_is_narrowed_in_the_words_of_people(desk: Desk, key: str, rule: str, count: int) -> None:
    """Euros, hours and the business's own time; a student by address, a purchase by its transaction."""
    assert len(keys_in(desk, f"{key}/list", filter=rule)) == count


@pytest.mark.parametrize(
    "path",
    [
        "purchase/list?filter=price_cents__eq=none",
        "purchase/list?filter=price_cents__eq=99999999999999999999",
        "purchase/list?filter=nothing__eq=1",
        "purchase/list?filter=state__eq=%00",
        "purchase/list?page_size=7",
        "lot/list?filter=student_id__eq=99999999999999999999",
        "entry/list?filter=purchase_id__eq=none",
    ],
)
def test_a_filter_that_cannot_be_is_said_so(desk: Desk, path: str) -> None:
    """Never an error of the server, and never rows that nobody asked for."""
    assert desk.get(path).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "purchase/detail?pk=1",
        "lot/detail?pk=x",
        "letter/detail?pk=x",
        "nothing/list",
        "student/detail?pk=999",
        "student/detail?pk=x",
        "go/purchase/999",
        "acts/none?of=1",
    ],
)
def test_what_is_not_there_is_said_so(desk: Desk, path: str) -> None:
    assert desk.get(path).status_code == 404


def test_the_body_of_an_event_is_for_administrators_and_masked(desk: Desk, shown: Shown) -> None:
    """Stripe sends addresses along that nobody needs in order to see what happened."""
    seen = desk.get("event/detail", pk=str(shown.event_number)).text
    assert shown.intent in seen
    assert "receipt_email" in seen
    assert EMAIL not in seen
    desk.client.cookies.clear()
    desk.sign_in("staff")
    assert "receipt_email" not in desk.get("event/detail", pk=str(shown.event_number)).text


def test_rows_lead_to_those_that_belong_to_them(desk: Desk, shown: Shown) -> None:
    """From a lot to its student and its purchase, and from a purchase to all that hangs on it."""
    listed = desk.get("lot/list").text
    assert f'<a href="/admin/student/detail?pk={shown.student}">{EMAIL}</a>' in listed
    assert f'<a href="/admin/purchase/detail?pk={shown.purchase}">{shown.transaction}</a>' in listed
    purchase = desk.get("purchase/detail", pk=str(shown.purchase)).text
    for key in ("lot", "entry", "refund", "dispute", "receipt", "event", "case", "finding"):
        assert f'href="/admin/{key}/list?q={shown.transaction}"' in purchase
        assert keys_in(desk, f"{key}/list", q=str(shown.transaction))
    for place, page in (
        (f"purchase/{shown.transaction}", f"purchase/detail?pk={shown.purchase}"),
        (f"webhook_event/{shown.event_number}", f"event/detail?pk={shown.event_number}"),
        (f"stale_mark/{shown.event_number}", f"letter/detail?pk=stale_mark%2C{shown.event_number}"),
    ):
        assert desk.get(f"go/{place}").headers["location"] == f"/admin/{page}"


def test_no_search_is_logged(desk: Desk, shown: Shown, caplog: pytest.LogCaptureFixture) -> None:
    """People are looked for by address and name, and neither belongs in a log."""
    with caplog.at_level("DEBUG"):
        assert keys_in(desk, "student/list", q=EMAIL) == [str(shown.student)]
    assert [one for one in caplog.records if one.name.startswith("starlette_admin")] == []


def test_a_page_of_many_rows_asks_no_more_than_one_of_few(desk: Desk, begin: Begin, now: datetime) -> None:
    """A question for each row would be the end of it at a hundred rows."""

    def statements(key: str) -> int:
        with counted() as asked:
            desk.get(f"{key}/list", page_size="100")
        return len(asked)

    keys = ("purchase", "lot", "entry")
    bought(begin, add_student(begin, at=now), at=now)
    few = [statements(key) for key in keys]
    for number in range(30):
        bought(begin, add_student(begin, f"student{number}@example.com", at=now), at=now)
    assert [statements(key) for key in keys] == few
    assert max(few) <= 6


def test_what_fits_few_rows_is_looked_for_once(desk: Desk, begin: Begin, now: datetime) -> None:
    """All rows are read to find that few or none fit: they are not read again to count these."""
    for _ in range(30):
        add_purchase(begin, at=now)

    def statements(**asked: str) -> int:
        with counted() as sent:
            assert desk.get("purchase/list", **asked).status_code == 200
        return sum("FROM purchase " in one for one in sent)

    assert statements() == 2
    assert "26 to 30 of 30" in desk.get("purchase/list", page="2").text
    for asked in ({"page": "2"}, {"page_size": "100"}, {"q": "nobody"}, {"filter": "state__eq=failed"}):
        assert statements(**asked) == 1, asked


def test_an_event_is_found_by_its_request(desk: Desk, begin: Begin, now: datetime) -> None:
    """Which is in the log beside what happened."""
    request = new_id().hex
    mine, _ = (add_event(begin, event_body("any", {}, at=now), at=now) for _ in range(2))
    with begin() as session:
        session.execute(
            text("UPDATE webhook_event SET request_id = :id WHERE id = :mine"), {"id": request, "mine": mine}
        )
    assert keys_in(desk, "event/list", q=request) == [str(mine)]


def test_the_newest_stand_first_and_pages_follow_each_other(desk: Desk, begin: Begin, now: datetime) -> None:
    bought_ones = [str(add_purchase(begin, at=now).id) for _ in range(60)]
    first, second = keys_in(desk, "purchase/list"), keys_in(desk, "purchase/list", page="2")
    assert [*first, *second] == bought_ones[::-1][:50]
    assert "1 to 25 of 60" in desk.get("purchase/list").text


def exported(desk: Desk, key: str, **fields: str) -> list[dict[str, str]]:
    everything = f"_api/{key}/action?name=export&all=1&_list_query="
    answer = desk.post(everything, {"format": "csv", "scope": "selected", **fields}, page="acts/grant?of=1")
    assert answer.status_code == 200, answer.text[-2000:]
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_list_is_exported_as_it_is_shown(desk: Desk, begin: Begin, shown: Shown) -> None:
    """What a cell holds is no formula of whoever wrote his name so."""
    with begin() as session:
        session.execute(text("UPDATE purchase SET buyer_name = '=1+1'"))
    (row,) = exported(desk, "purchase")
    assert row["Transaction"] == str(shown.transaction)
    assert row["Price (€)"] == "140.00"
    assert row["Student"] == EMAIL
    assert row["Paid"] == "2026-03-02T12:00:00.000Z"
    assert row["Buyer"] == "'=1+1"
