"""Plans on a page: made, changed by new versions, scheduled, looked at first, shown and hidden."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing import db
from billing.config import Settings
from billing.db import Begin
from billing.models import StaffAct
from billing.states import ActState, StaffAction
from tests.support.database import TEMPLATE, connect
from tests.support.environment import make_settings
from tests.support.servers import RunningPostgres
from tests.support.staff import StaffRoom
from tests.web.admin import REASON, Desk, act_of
from tests.web.support import Tokens
from web.app import create_app

NOW = datetime.now(UTC).replace(microsecond=0)
NEW = {
    "name": "Exam week",
    "description": "Ten hours before the exam.",
    "plan_type": "package",
    "hours_included": "10",
    "price_eur": "99.00",
    "validity_days": "14",
    "is_active": "on",
    "reason": REASON,
}


@pytest.fixture
def database_url(postgres: RunningPostgres, request: pytest.FixtureRequest) -> str:
    """One of its own, for plans are kept where other tests share a database."""
    name = f"plans_{abs(hash(request.node.nodeid)):x}"
    postgres.create_database(name, template=TEMPLATE)
    return postgres.url(name)


@pytest.fixture
def settings(database_url: str, valkey_url: str) -> Settings:
    return make_settings(database_url, valkey_url)


@pytest.fixture
def begin(database_url: str) -> Iterator[Begin]:
    engine = connect(database_url)
    yield partial(db.begin, engine)
    engine.dispose()


@pytest.fixture
def desk(settings: Settings, tokens: Tokens) -> Iterator[Desk]:
    with TestClient(create_app(settings), client=("192.0.2.7", 4711)) as client:
        desk = Desk(client, tokens)
        desk.sign_in("admin")
        yield desk


@pytest.fixture
def room(begin: Begin, database_url: str) -> StaffRoom:
    return StaffRoom(begin, database_url, NOW)


def asked(desk: Desk, room: StaffRoom, path: str, fields: dict[str, str]) -> StaffAct:
    act_id = act_of(desk.ask(path, fields))
    room.perform(act_id)
    return room.row(act_id)


def versions(begin: Begin, plan: int) -> list[tuple[str, int]]:
    with begin() as session:
        rows = session.execute(
            text("SELECT name, price_cents FROM pricing_plan_version WHERE plan_id = :plan ORDER BY version"),
            {"plan": plan},
        )
        return [(row.name, row.price_cents) for row in rows]


def test_a_plan_is_made(desk: Desk, room: StaffRoom) -> None:
    act = asked(desk, room, "acts/create-plan", NEW)
    assert (act.action, act.state) == (StaffAction.CREATE_PLAN, ActState.DONE), act.error_message
    assert "Exam week" in desk.client.get("/api/finances/api/pricing-plans/").text
    assert 'href="/admin/acts/create-plan"' in desk.get("plan/list").text


def test_a_look_at_it_first_makes_nothing(desk: Desk, begin: Begin) -> None:
    answer = desk.ask("acts/create-plan", {**NEW, "preview": "1"})
    assert answer.status_code == 200
    assert "9.90" in answer.text[answer.text.index('id="preview"') :]
    assert 'value="Exam week"' in answer.text
    with begin() as session:
        assert session.execute(text("SELECT count(*) FROM staff_act")).scalar_one() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("price_eur", "0"),
        ("price_eur", "1.005"),
        ("hours_included", "none"),
        ("validity_days", ""),
        ("validity_days", "0"),
        ("effective_from", "2020-01-01T00:00"),
        ("effective_from", "soon"),
        ("reason", ""),
    ],
)
@pytest.mark.parametrize("is_preview", [True, False])
def test_what_a_plan_cannot_be_is_said_beside_the_field(
    desk: Desk, begin: Begin, field: str, value: str, is_preview: bool
) -> None:
    preview = {"preview": "1"} if is_preview else {}
    answer = desk.ask("acts/create-plan", {**NEW, field: value, **preview})
    assert answer.status_code == 422
    assert f'id="{field}-wrong"' in answer.text
    with begin() as session:
        assert session.execute(text("SELECT count(*) FROM staff_act")).scalar_one() == 0


def test_a_plan_is_changed_by_a_new_version(desk: Desk, begin: Begin, room: StaffRoom) -> None:
    """The form begins with what counts now; whoever has bought keeps what was bought."""
    page = desk.get("acts/edit-plan", of="2").text
    (first,) = versions(begin, 2)
    assert f'value="{first[0]}"' in page
    fields = {
        "name": first[0],
        "description": "",
        "plan_type": "package",
        "hours_included": "10.00",
        "price_eur": "150.00",
        "validity_days": "45",
        "rollover_minutes": "",
        "reason": REASON,
    }
    preview = desk.ask("acts/edit-plan?of=2", {**fields, "preview": "1"})
    assert "15.00" in preview.text[preview.text.index('id="preview"') :]
    act = asked(desk, room, "acts/edit-plan?of=2", fields)
    assert act.state is ActState.DONE, act.error_message
    assert versions(begin, 2) == [first, (first[0], 15_000)]
    stale = desk.form("acts/edit-plan?of=2")
    asked(desk, room, "acts/edit-plan?of=2", {**fields, "price_eur": "160.00"})
    answer = desk.post("acts/edit-plan?of=2", {**stale, **fields, "price_eur": "170.00"})
    assert (answer.status_code, "160.00" in answer.text) == (409, True)


def test_a_change_is_scheduled_in_business_time(desk: Desk, begin: Begin, room: StaffRoom) -> None:
    begin_at = (NOW + timedelta(days=30)).strftime("%Y-%m-%dT09:00")
    page = desk.get("acts/edit-plan", of="2").text
    name = page.partition('id="name" name="name"')[2].partition('value="')[2].partition('"')[0]
    fields = {
        "name": name,
        "plan_type": "package",
        "hours_included": "10.00",
        "price_eur": "155.00",
        "validity_days": "45",
        "effective_from": begin_at,
        "reason": REASON,
    }
    act = asked(desk, room, "acts/edit-plan?of=2", fields)
    assert act.state is ActState.DONE, act.error_message
    assert f"{begin_at.replace('T', ' ')} WE" in desk.get("acts/edit-plan", of="2").text
    assert "155.00" not in desk.client.get("/api/finances/api/pricing-plans/").text


def test_several_plans_are_hidden_and_featured_together(desk: Desk, begin: Begin, room: StaffRoom) -> None:
    selected = "_api/plan/action?name=set_plans&pks=1&pks=2&_list_query="
    path = desk.post(selected, {}, page="acts/create-plan").headers["location"]
    fields = {"is_active": "no", "is_featured": "yes", "display_order": "", "reason": REASON}
    act = asked(desk, room, path.removeprefix("/admin/"), fields)
    assert act.state is ActState.DONE, act.error_message
    with begin() as session:
        rows = session.execute(text("SELECT is_active, is_featured FROM pricing_plan WHERE id IN (1, 2)")).all()
    assert [tuple(row) for row in rows] == [(False, True)] * 2
    nothing = desk.ask("acts/set-plans?of=1", {"is_active": "", "is_featured": "", "reason": REASON})
    assert (nothing.status_code, 'id="is_active-wrong"' in nothing.text) == (422, True)


def test_plans_are_of_administrators(desk: Desk) -> None:
    desk.client.cookies.clear()
    desk.sign_in("staff")
    for act in ("create-plan", "edit-plan", "set-plans"):
        assert desk.get(f"acts/{act}", of="" if act == "create-plan" else "2").status_code == 403
    assert "/admin/acts/create-plan" not in desk.get("plan/list").text
