"""What is asked for on a page: by whom, for what, with which reason, and what is left of it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing import clock
from billing.config import Settings
from billing.db import Begin
from billing.models import Purchase, StaffAct
from billing.states import ActState, StaffAction
from tests.support.factories import add_student, minutes_left
from tests.support.records import DAY, bought, taken
from tests.support.staff import StaffRoom
from tests.web.admin import REASON, Desk, act_of
from tests.web.admin_rows import Shown, add_one_of_everything
from tests.web.support import Tokens
from web.admin.sessions import RECENT
from web.app import create_app

NOW = datetime.now(UTC).replace(microsecond=0)
ADMIN_ACTS = ("refund", "grant", "correct", "replay", "park", "discard", "close-finding", "close-case")


@pytest.fixture
def now() -> datetime:
    """Pages go by the real time, so what they show is of today."""
    return NOW


@pytest.fixture
def visitor(settings: Settings, tokens: Tokens) -> Iterator[Desk]:
    with TestClient(create_app(settings), client=("192.0.2.7", 4711)) as client:
        yield Desk(client, tokens)


@pytest.fixture
def desk(visitor: Desk) -> Desk:
    visitor.sign_in("admin")
    return visitor


@pytest.fixture
def room(begin: Begin, database_url: str) -> StaffRoom:
    return StaffRoom(begin, database_url, NOW)


@pytest.fixture
def purchase(begin: Begin) -> Purchase:
    return bought(begin, add_student(begin, at=NOW), at=NOW, expires_at=NOW + 10 * DAY)


def acts(begin: Begin) -> int:
    with begin() as session:
        return int(session.execute(text("SELECT count(*) FROM staff_act")).scalar_one())


def done(room: StaffRoom, act_id: UUID) -> StaffAct:
    room.perform(act_id)
    return room.row(act_id)


def test_a_refund_shows_its_quote_and_leaves_an_act(desk: Desk, room: StaffRoom, purchase: Purchase) -> None:
    """Money goes back as by the API: a worker does it, and the row says who, why and from where."""
    page = desk.get("acts/refund", of=str(purchase.transaction_id)).text
    assert "140.00" in page
    assert "How it is reckoned" in page
    answer = desk.ask(f"acts/refund?of={purchase.id}", {"refund_amount": "20.00", "reason": f"  {REASON} "})
    act = room.row(act_of(answer))
    assert (act.action, act.state, act.target) == (
        StaffAction.REFUND,
        ActState.REQUESTED,
        f"purchase:{purchase.transaction_id}",
    )
    assert (act.actor, act.address, act.reason) == ("boss", "192.0.2.7", REASON)
    assert act.parameters == {"transaction_id": purchase.transaction_id, "amount_cents": 2000}
    waiting = desk.get(f"acts/done/{act.id}").text
    assert "data-admin-waits" in waiting
    assert done(room, act.id).state is ActState.DONE
    shown = desk.get(f"acts/done/{act.id}").text
    assert "data-admin-waits" not in shown
    assert "Amount (€)" in shown


def test_a_refusal_of_the_domain_is_shown_in_its_words(desk: Desk, room: StaffRoom, purchase: Purchase) -> None:
    act_id = act_of(desk.ask(f"acts/refund?of={purchase.id}", {"refund_amount": "999.00", "reason": REASON}))
    act = done(room, act_id)
    assert act.state is ActState.REFUSED
    shown = desk.get(f"acts/done/{act_id}").text
    assert "Refused" in shown
    assert act.error_message is not None
    assert act.error_message in shown


def test_a_page_that_is_stale_says_what_has_changed(
    desk: Desk, begin: Begin, room: StaffRoom, purchase: Purchase
) -> None:
    """Who decides by a figure decides again when it is another one."""
    path, before = f"acts/refund?of={purchase.id}", acts(begin)
    form = desk.form(path)
    with begin() as session:
        lot = session.execute(text("SELECT id FROM hour_lot")).scalar_one()
    taken(begin, lot, 60, at=NOW)
    answer = desk.post(path, {**form, "reason": REASON})
    assert answer.status_code == 409
    changes = answer.text[answer.text.index('id="changes"') :]
    assert "140.00" in changes
    assert "126.00" in changes
    assert REASON in answer.text
    assert acts(begin) == before
    assert desk.ask(path, {"reason": REASON}).status_code == 303


def test_a_form_without_what_it_was_made_for_is_stale(desk: Desk, begin: Begin, purchase: Purchase) -> None:
    """Nobody skips the look at what there is."""
    for facts in ({}, {"facts": "{}"}, {"facts": "none"}, {"facts": "[]"}):
        assert desk.post(f"acts/refund?of={purchase.id}", {"reason": REASON, **facts}).status_code == 409
    assert acts(begin) == 0


def test_two_clicks_are_one_act(desk: Desk, begin: Begin, purchase: Purchase) -> None:
    """The browser sends a form twice before it shows an answer; the hours last longer once."""
    path, fields = f"acts/extend?of={purchase.transaction_id}", {"extension_days": "7", "reason": REASON}
    form = desk.form(path)
    first, second = desk.post(path, {**form, **fields}), desk.post(path, {**form, **fields})
    assert act_of(first) == act_of(second)
    other_words = desk.post(path, {**form, **fields, "extension_days": "8"})
    assert other_words.status_code == 422
    assert acts(begin) == 1


def test_a_form_that_comes_again_after_its_act_was_done_is_that_act(
    desk: Desk, room: StaffRoom, purchase: Purchase
) -> None:
    """The end that it saw is not the end of now, for it has moved it itself."""
    path, fields = f"acts/extend?of={purchase.transaction_id}", {"extension_days": "7", "reason": REASON}
    form = desk.form(path)
    first = act_of(desk.post(path, {**form, **fields}))
    assert done(room, first).state is ActState.DONE
    assert act_of(desk.post(path, {**form, **fields})) == first


def test_an_extension_that_somebody_overtook_is_not_done(desk: Desk, room: StaffRoom, purchase: Purchase) -> None:
    """Between the page and the worker another one may move the end; the page says what it is now."""
    path = f"acts/extend?of={purchase.transaction_id}"
    act_id = act_of(desk.ask(path, {"extension_days": "7", "reason": REASON}))
    room.run("UPDATE hour_lot SET expires_at = expires_at + interval '1 day'")
    assert (done(room, act_id).state, room.row(act_id).error_type) == (ActState.REFUSED, "package_changed")
    assert "and not until" in desk.get(f"acts/done/{act_id}").text


def test_one_package_or_several_last_longer(desk: Desk, begin: Begin, room: StaffRoom, purchase: Purchase) -> None:
    second = bought(begin, add_student(begin, "ben@example.com", at=NOW), at=NOW, expires_at=NOW + 10 * DAY)
    one = act_of(desk.ask(f"acts/extend?of={purchase.id}", {"extension_days": "7", "reason": REASON}))
    assert done(room, one).action is StaffAction.EXTEND
    selected = f"_api/purchase/action?name=extend_all&pks={purchase.id}&pks={second.id}&_list_query="
    path = desk.post(selected, {}, page="acts/grant?of=1").headers["location"].removeprefix("/admin/")
    both = desk.ask(path, {"extension_days": "30", "reason": REASON, "extend_from_now": "on"})
    act = done(room, act_of(both))
    assert act.action is StaffAction.BULK_EXTEND
    assert act.parameters["transaction_ids"] == [purchase.transaction_id, second.transaction_id]
    assert act.parameters["extend_from_now"] is True
    assert act.parameters["expected_ends"].keys() == {str(purchase.transaction_id), str(second.transaction_id)}
    assert act.state is ActState.DONE


def test_hours_are_granted_and_taken_back(desk: Desk, begin: Begin, room: StaffRoom) -> None:
    student = add_student(begin, at=NOW)
    granted = desk.ask(f"acts/grant?of={student}", {"hours": "1.50", "validity_days": "30", "reason": REASON})
    assert done(room, act_of(granted)).state is ActState.DONE
    assert minutes_left(begin, student) == 90
    taken_back = desk.ask(f"acts/correct?of={student}", {"hours": "0.50", "reason": REASON})
    assert done(room, act_of(taken_back)).state is ActState.DONE
    assert minutes_left(begin, student) == 60


@pytest.mark.parametrize(
    ("act", "fields", "wrong"),
    [
        ("refund", {"refund_amount": "1.005", "reason": REASON}, "refund_amount"),
        ("refund", {"refund_amount": "5", "reason": "  "}, "reason"),
        ("refund", {"refund_amount": "5"}, "reason"),
        ("extend", {"extension_days": "many", "reason": REASON}, "extension_days"),
        ("extend", {"extension_days": "9999", "reason": REASON}, "extension_days"),
        ("extend", {"extension_days": "7", "reason": "x" * 501}, "reason"),
        ("grant", {"hours": "0.001", "validity_days": "1", "reason": REASON}, "hours"),
        ("grant", {"hours": "1", "reason": REASON}, "validity_days"),
        ("correct", {"hours": "-1", "reason": REASON}, "hours"),
    ],
)
def test_a_form_answers_beside_the_field(
    desk: Desk, begin: Begin, purchase: Purchase, act: str, fields: dict[str, str], wrong: str
) -> None:
    """What was written stays, and nothing is asked for."""
    of = purchase.id if act in ("refund", "extend") else purchase.student_id
    answer = desk.ask(f"acts/{act}?of={of}", fields)
    assert answer.status_code == 422
    assert f'id="{wrong}-wrong"' in answer.text
    assert acts(begin) == 0


def test_what_gave_up_is_worked_anew_after_a_look(desk: Desk, begin: Begin, room: StaffRoom) -> None:
    shown = add_one_of_everything(begin, NOW)
    before, letter = acts(begin), f"webhook_event:{shown.event_number}"
    page = desk.get("acts/replay", of=letter).text
    assert "It would be" in page
    for act, after in (("park", "parked"), ("discard", "discarded")):
        answer = desk.ask(f"acts/{act}?of={letter}", {"reason": REASON})
        assert done(room, act_of(answer)).state is ActState.DONE
        assert after in desk.get("letter/list").text
    replayed = done(room, act_of(desk.ask(f"acts/replay?of={letter}", {"reason": REASON})))
    assert (replayed.state, (replayed.after or {})["result"]) == (ActState.DONE, "reopened")
    assert acts(begin) == before + 3


def test_findings_and_cases_are_closed_with_a_note(desk: Desk, begin: Begin, room: StaffRoom) -> None:
    shown = add_one_of_everything(begin, NOW)
    for path in (f"acts/close-finding?of={shown.finding}", f"acts/close-case?of={shown.case}"):
        act = done(room, act_of(desk.ask(path, {"note": "Seen to."})))
        assert (act.state, act.reason) == (ActState.DONE, "Seen to.")
        assert 'id="hindrance"' in desk.get(path).text
    with begin() as session:
        states = session.execute(text("SELECT state FROM finding UNION ALL SELECT state FROM staff_case")).scalars()
        assert [*states] == ["closed", "closed"]


def test_staff_extend_and_administrators_do_the_rest(visitor: Desk, begin: Begin) -> None:
    """Who reads and extends moves no money, by no address that he may guess."""
    shown = add_one_of_everything(begin, NOW)
    visitor.sign_in("staff")
    before = acts(begin)
    subjects = {
        "refund": shown.transaction,
        "grant": shown.student,
        "correct": shown.student,
        "close-finding": shown.finding,
        "close-case": shown.case,
    }
    for act in ADMIN_ACTS:
        path = f"acts/{act}?of={subjects.get(act, f'webhook_event:{shown.event_number}')}"
        assert visitor.get(path).status_code == 403, act
        page = f"acts/extend?of={shown.transaction}"
        assert visitor.post(path, {"reason": REASON, "note": REASON}, page=page).status_code == 403, act
    assert acts(begin) == before
    assert "/admin/acts/refund" not in visitor.get("purchase/list").text
    assert "/admin/acts/grant" not in visitor.get("student/detail", pk=str(shown.student)).text
    extended = visitor.ask(f"acts/extend?of={shown.transaction}", {"extension_days": "7", "reason": REASON})
    assert extended.status_code == 303


def test_money_is_moved_only_shortly_after_a_sign_in(
    visitor: Desk, tokens: Tokens, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a machine that was left open can look, and no more; another sign-in leads back to the form."""
    lasting = int(time.time()) + 7200
    visitor.sign_in("admin", exp=lasting)
    path = f"acts/refund?of={purchase.id}"
    form, later = visitor.form(path), clock.machine_now() + RECENT + timedelta(seconds=1)
    monkeypatch.setattr(clock, "machine_now", lambda: later)
    for answer in (visitor.get(path), visitor.post(path, {**form, "reason": REASON}, page="acts/extend?of=1")):
        again = answer.headers["location"]
        assert again.startswith("/admin/login?again=1&next=%2Fadmin%2Facts%2Frefund")
    assert visitor.get(f"acts/extend?of={purchase.id}").status_code == 200
    page = again.removeprefix("/admin/")
    assert "sign in again" in visitor.get(page).text
    token = tokens.of("boss", roles=["admin"], exp=lasting)["Authorization"].removeprefix("Bearer ")
    assert visitor.post(page, {"token": token}).headers["location"] == f"/admin/{path}"
    assert visitor.ask(path, {"reason": REASON}).status_code == 303


@pytest.mark.parametrize(
    "of",
    ["", "x", "999", "1,1", "1,999", ",", "0", "9" * 30, "00000000-0000-0000-0000-000000000000", "webhook_event:x"],
)
@pytest.mark.parametrize("act", ["refund", "extend", "grant", "replay", "park", "close-finding", "close-case"])
def test_an_act_about_nothing_is_not_there(desk: Desk, act: str, of: str) -> None:
    assert desk.get(f"acts/{act}", of=of).status_code == 404


def test_the_page_of_a_student_tells_all_that_happened(desk: Desk, begin: Begin, room: StaffRoom) -> None:
    """One look answers what a student asks on the telephone."""
    shown = add_one_of_everything(begin, NOW - DAY)
    page = desk.get("student/detail", pk=str(shown.student)).text
    timeline = page[page.index('id="timeline"') :]
    for seen in (
        "paid",
        "credit",
        "lesson-7",
        "re_shown",
        "fraudulent",
        "Ana was ill.",
        "low balance (sent)",
        "sub_shown",
        "Look at it.",
    ):
        assert seen in timeline, seen
    assert f'href="/admin/acts/grant?of={shown.student}"' in page


def test_the_balance_of_any_date_is_explained(desk: Desk, begin: Begin, shown_at: Shown) -> None:
    """What was there on that day, and by which entries."""

    def remaining(day: datetime) -> tuple[str, str]:
        page = desk.get("student/detail", pk=str(shown_at.student), at=day.date().isoformat()).text
        return page.partition('id="remaining">')[2].partition("<")[0], page

    hours_then, page = remaining(NOW)
    assert hours_then == "9.00"
    assert "Entries until then: 2" in page
    assert remaining(NOW - 5 * DAY)[0] == "0.00"
    assert desk.get("student/detail", pk=str(shown_at.student), at="yesterday").status_code == 400


@pytest.fixture
def shown_at(begin: Begin) -> Shown:
    return add_one_of_everything(begin, NOW - DAY)


def test_the_timeline_goes_on_where_it_is_long(desk: Desk, begin: Begin, shown_at: Shown) -> None:
    """Page by page, and each moment once."""
    with begin() as session:
        session.execute(
            text("""
                INSERT INTO purchase_transition (purchase_id, step, state, cause, at)
                SELECT :id, 'accepted', 'queued', 'cause-' || number, :at - number * interval '1 minute'
                FROM generate_series(1, 150) AS number
            """),
            {"id": shown_at.purchase, "at": NOW - DAY},
        )
    seen: list[str] = []
    parameters: dict[str, Any] = {"pk": str(shown_at.student)}
    while True:
        page = desk.get("student/detail", **parameters).text
        seen += [f"cause-{number}" for number in range(1, 151) if f">cause-{number}<" in page]
        _, has_more, rest = page.partition("&before=")
        if not has_more:
            break
        parameters["before"] = rest.partition('"')[0].replace("%3A", ":").replace("%2B", "+")
    assert sorted(seen) == sorted(f"cause-{number}" for number in range(1, 151))
