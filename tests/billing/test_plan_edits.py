"""Plans are changed by people of the business: what they may say, what is refused, and what stays as it was bought."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from billing.cli.reading import ask_at
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import NotFoundError
from billing.models import PricingPlanVersion, StaffAct
from billing.plans.terms import HIGHEST_CENTS, MOST_MINUTES, PlanTermsError
from billing.reads.pages import Slice
from billing.reads.plans import PlanView, find_plan, find_shown
from billing.reads.staff_acts import ActFilter, list_acts
from billing.secrets import Vault
from billing.staff.accept_plan import accept_plan
from billing.staff.plan_wishes import CreatePlan, EditPlan, SetPlans
from billing.staff.wishes import Wish
from billing.states import ActState, PlanType, StaffAction
from billing.subscriptions.prices import ensure_price
from tests.support.factories import add_purchase, load_purchase
from tests.support.staff import StaffRoom
from tests.support.subscribers import STUDENT, Subscribers

STANDARD, MONTHLY, STUDENT_PLAN = 2, 5, 6
EDITORS = 20
DAY = timedelta(days=1)

SUMMER: dict[str, Any] = {
    "name": "Summer Package",
    "description": "Eight hours for the holidays.",
    "plan_type": PlanType.PACKAGE,
    "minutes": 480,
    "price_cents": 11_200,
    "validity_days": 60,
}
CLUB: dict[str, Any] = {
    "name": "Club",
    "plan_type": PlanType.SUBSCRIPTION,
    "minutes": 600,
    "price_cents": 9_900,
    "rollover_minutes": 120,
}


@pytest.fixture
def room(begin: Begin, database_url: str, now: datetime) -> StaffRoom:
    return StaffRoom(begin, database_url, now)


def ask(room: StaffRoom, wish: Wish) -> StaffAct:
    """Accepted as the door does it, and worked."""
    act_id = room.accept(wish, by=accept_plan).id
    room.perform(act_id)
    return room.row(act_id)


def done(room: StaffRoom, wish: Wish) -> dict[str, Any]:
    act = ask(room, wish)
    assert (act.state, act.error_message) == (ActState.DONE, None)
    assert act.after is not None
    return act.after


def refused(room: StaffRoom, wish: Wish) -> tuple[str | None, str]:
    act = ask(room, wish)
    assert (act.state, act.after) == (ActState.REFUSED, None)
    return act.error_type, act.error_message or ""


def edit(plan_id: int = STANDARD, expected_version: int | None = 1, **facts: Any) -> EditPlan:
    return EditPlan(plan_id=plan_id, expected_version=expected_version, **facts)


def database_now(room: StaffRoom) -> datetime:
    with room.begin() as session:
        now: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)


def plan(room: StaffRoom, plan_id: int = STANDARD) -> PlanView:
    found = ask_at(room.url, lambda connection: find_plan(connection, plan_id))
    assert found is not None
    return found


def price(room: StaffRoom, plan_id: int = STANDARD, at: datetime | None = None) -> int | None:
    found = ask_at(room.url, lambda connection: find_shown(connection, plan_id, at))
    assert found is not None
    return None if found.plan is None else found.plan.price_cents


def on_sale(room: StaffRoom) -> list[str]:
    with room.begin() as session:
        return list(session.execute(text("SELECT name FROM plan_on_sale ORDER BY display_order, plan_id")).scalars())


def nothing_changed(room: StaffRoom) -> bool:
    with room.begin() as session:
        counts = "SELECT (SELECT count(*) FROM pricing_plan), (SELECT count(*) FROM pricing_plan_version)"
        return tuple(session.execute(text(counts)).one()) == (7, 7)


# --- making ---


def test_a_package_is_made_and_on_sale_at_once(room: StaffRoom) -> None:
    """Nobody who writes code was asked; it stands last, and the act says all that it promises."""
    after = done(room, CreatePlan(**SUMMER))
    assert on_sale(room)[-1] == "Summer Package"
    assert (after["plan_id"], after["version"], after["display_order"], after["is_active"]) == (8, 1, 8, True)
    assert (after["hours_included"], after["price_eur"], after["validity_days"]) == ("8.00", "112.00", 60)
    (made,) = plan(room, 8).versions
    assert (made.status, made.terms.description) == ("current", SUMMER["description"])


def test_a_subscription_is_made_with_what_lives_on(room: StaffRoom) -> None:
    after = done(room, CreatePlan(**CLUB, is_featured=True, display_order=0))
    assert (after["plan_type"], after["validity_days"], after["rollover_minutes"]) == ("subscription", None, 120)
    assert (after["is_featured"], on_sale(room)[0]) == (True, "Club")


def test_a_plan_can_be_made_before_it_is_sold(room: StaffRoom) -> None:
    """Not active, or from an instant on: nobody buys it meanwhile."""
    done(room, CreatePlan(**SUMMER, is_active=False))
    done(room, CreatePlan(**CLUB, effective_from=database_now(room) + DAY))
    assert len(on_sale(room)) == 7
    assert plan(room, 8).current is not None
    assert (plan(room, 9).current, plan(room, 9).versions[0].status) == (None, "scheduled")


# --- what the terms forbid ---

BAD: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    *((SUMMER, {"name": name}, ["name"]) for name in ("", "x" * 101, " Summer", "Summer ", "Sum\nmer", "Sum\x07mer")),
    (SUMMER, {"description": "x" * 501}, ["description"]),
    (SUMMER, {"description": "a\x1bb"}, ["description"]),
    *((SUMMER, {"price_cents": cents}, ["price_eur"]) for cents in (0, -1, HIGHEST_CENTS + 1, 10**18)),
    *((SUMMER, {"minutes": minutes}, ["hours_included"]) for minutes in (0, -60, MOST_MINUTES + 1, 10**18)),
    (SUMMER, {"currency": "usd"}, ["currency"]),
    *((SUMMER, {"validity_days": days}, ["validity_days"]) for days in (None, 0, -1, 3651, 10**18)),
    (SUMMER, {"rollover_minutes": 60}, ["rollover_minutes"]),
    (CLUB, {"validity_days": 30}, ["validity_days"]),
    *((CLUB, {"rollover_minutes": minutes}, ["rollover_minutes"]) for minutes in (0, -1, 601)),
    (SUMMER, {"name": "", "price_cents": 0, "validity_days": None}, ["name", "price_eur", "validity_days"]),
]


@pytest.mark.parametrize(("facts", "change", "fields"), BAD)
def test_what_a_plan_may_not_be_is_refused_with_its_fields(
    room: StaffRoom, facts: dict[str, Any], change: dict[str, Any], fields: list[str]
) -> None:
    """All of them at once, before anything is kept: whoever fills in a form sees what to mend."""
    with pytest.raises(PlanTermsError) as caught:
        room.accept(CreatePlan(**{**facts, **change}), by=accept_plan)
    assert list(caught.value.field_errors) == fields
    assert str(caught.value).startswith(f"{fields[0]}: ")
    room_has_no_act(room)


@pytest.mark.parametrize(("facts", "change", "fields"), BAD)
def test_the_worker_does_not_trust_whoever_accepted_it(
    room: StaffRoom, facts: dict[str, Any], change: dict[str, Any], fields: list[str]
) -> None:
    """An act that came past the door makes no plan that cannot be."""
    act = room.do(CreatePlan(**{**facts, **change}))
    assert (act.state, act.error_type) == (ActState.REFUSED, "validation_error")
    assert (act.error_message or "").startswith(f"{fields[0]}: ")
    assert nothing_changed(room)


@pytest.mark.parametrize(
    ("facts", "change"),
    [
        (SUMMER, {"name": "x"}),
        (SUMMER, {"name": "ú" * 100, "description": "one\ntwo " + "x" * 490}),
        (SUMMER, {"price_cents": 1, "minutes": 1, "validity_days": 1}),
        (SUMMER, {"price_cents": HIGHEST_CENTS, "minutes": MOST_MINUTES, "validity_days": 3650}),
        (CLUB, {"rollover_minutes": 600}),
        (CLUB, {"rollover_minutes": None}),
    ],
)
def test_what_is_at_a_bound_can_be(room: StaffRoom, facts: dict[str, Any], change: dict[str, Any]) -> None:
    done(room, CreatePlan(**{**facts, **change}))


def room_has_no_act(room: StaffRoom) -> None:
    with room.begin() as session:
        assert session.execute(text("SELECT count(*) FROM staff_act")).scalar_one() == 0


@pytest.mark.parametrize("wish", [CreatePlan(**SUMMER), edit(price_cents=1)], ids=["made", "edited"])
def test_nothing_begins_in_the_past_or_in_three_years(room: StaffRoom, wish: CreatePlan | EditPlan) -> None:
    """What was sold yesterday was sold at yesterday's price."""
    now = database_now(room)
    for begin in (now - timedelta(seconds=1), now - 400 * DAY, now + 732 * DAY):
        with pytest.raises(PlanTermsError, match="effective_from: must"):
            room.accept(wish.model_copy(update={"effective_from": begin}), by=accept_plan)
    room_has_no_act(room)
    late = room.do(wish.model_copy(update={"effective_from": now + 732 * DAY}))
    assert (late.error_type, nothing_changed(room)) == ("validation_error", True)
    done(room, wish.model_copy(update={"effective_from": now + 730 * DAY}))


# --- names ---


@pytest.mark.parametrize("name", ["Standard Package", "standard PACKAGE"])
def test_two_active_plans_have_two_names(room: StaffRoom, name: str) -> None:
    """Who buys by a name gets one thing; what is taken off sale leaves its name to others."""
    taken = ("validation_error", "name: plan 2 is active and called Standard Package")
    assert refused(room, CreatePlan(**{**SUMMER, "name": name})) == taken
    assert refused(room, edit(3, name=name)) == taken
    assert nothing_changed(room)
    done(room, SetPlans(plan_ids=(STANDARD,), is_active=False))
    made = done(room, CreatePlan(**{**SUMMER, "name": name}))["plan_id"]
    error, words = refused(room, SetPlans(plan_ids=(STANDARD,), is_active=True))
    assert (error, words) == ("validation_error", f"name: plan {made} is active and called {name}")


def test_a_name_that_is_scheduled_is_taken_and_one_that_was_is_not(room: StaffRoom) -> None:
    """Or two plans would be called the same from that instant on."""
    done(room, edit(name="Holiday Package", effective_from=database_now(room) + DAY))
    assert refused(room, CreatePlan(**{**SUMMER, "name": "Holiday Package"}))[0] == "validation_error"
    assert refused(room, CreatePlan(**{**SUMMER, "name": "Standard Package"}))[0] == "validation_error"
    done(room, edit(3, name="Great Package"))
    done(room, CreatePlan(**{**SUMMER, "name": "Premium Package"}))


def test_what_is_not_active_may_be_called_as_it_likes(room: StaffRoom) -> None:
    done(room, CreatePlan(**{**SUMMER, "name": "Standard Package"}, is_active=False))


# --- editing ---


def test_an_edit_is_a_new_version_and_says_what_it_changed(room: StaffRoom) -> None:
    act = ask(room, edit(price_cents=15_000, description=""))
    assert (act.state, act.action, act.target) == (ActState.DONE, StaffAction.EDIT_PLAN, "plan:2")
    assert act.before is not None
    assert act.after is not None
    assert (act.before["version"], act.before["price_eur"]) == (1, "140.00")
    assert (act.after["version"], act.after["price_eur"], act.after["description"]) == (2, "150.00", "")
    assert {name for name in act.after if act.before[name] != act.after[name]} == {
        "version",
        "price_eur",
        "description",
        "effective_from",
    }
    assert [version.status for version in plan(room).versions] == ["over", "current"]
    assert price(room) == 15_000


def test_a_purchase_keeps_what_was_bought(room: StaffRoom, now: datetime) -> None:
    bought = add_purchase(room.begin, at=now)
    done(room, edit(price_cents=15_000, minutes=900))
    kept = load_purchase(room.begin, bought.id)
    assert (kept.plan_version_id, kept.price_cents, kept.minutes) == (2, 14_000, 600)


EDITS: list[tuple[int, dict[str, Any], str]] = [
    (STANDARD, {"plan_type": PlanType.SUBSCRIPTION}, "plan_type"),
    (STANDARD, {"price_cents": 0}, "price_eur"),
    (STANDARD, {"validity_days": 0}, "validity_days"),
    (STANDARD, {"rollover_minutes": 1}, "rollover_minutes"),
    (STANDARD, {"name": ""}, "name"),
    (STANDARD, {"currency": "usd"}, "currency"),
    (MONTHLY, {"validity_days": 30}, "validity_days"),
    (MONTHLY, {"rollover_minutes": 1801}, "rollover_minutes"),
    (MONTHLY, {"plan_type": PlanType.PACKAGE, "validity_days": 30}, "plan_type"),
]


@pytest.mark.parametrize(("plan_id", "facts", "field"), EDITS)
def test_an_edit_makes_no_plan_that_cannot_be(room: StaffRoom, plan_id: int, facts: dict[str, Any], field: str) -> None:
    """At the door with its fields, and by the worker where it came past the door."""
    wish = edit(plan_id, **facts)
    with pytest.raises(PlanTermsError) as caught:
        room.accept(wish, by=accept_plan)
    assert list(caught.value.field_errors) == [field]
    room_has_no_act(room)
    act = room.do(wish)
    assert (act.error_type, (act.error_message or "").partition(":")[0]) == ("validation_error", field)
    assert nothing_changed(room)


def test_hours_that_shrink_below_what_lives_on_are_refused(room: StaffRoom) -> None:
    done(room, edit(MONTHLY, rollover_minutes=600))
    with pytest.raises(PlanTermsError, match="rollover_minutes: must be from 1 to 300"):
        room.accept(edit(MONTHLY, 2, minutes=300), by=accept_plan)
    assert done(room, edit(MONTHLY, 2, minutes=300, rollover_minutes=0))["rollover_minutes"] is None


def test_an_edit_of_nothing_is_refused(room: StaffRoom) -> None:
    """A version that says the same would be another price at Stripe for nothing."""
    for wish in (edit(), edit(price_cents=14_000, name="Standard Package"), edit(plan_type=PlanType.PACKAGE)):
        assert refused(room, wish)[0] == "plan_unchanged"
    assert nothing_changed(room)


@pytest.mark.parametrize("wish", [edit(99, price_cents=1), SetPlans(plan_ids=(2, 99), is_active=False)], ids=repr)
def test_a_plan_that_is_not_there_is_not_found(room: StaffRoom, wish: Wish) -> None:
    with pytest.raises(NotFoundError, match="there is no plan:99"):
        room.accept(wish, by=accept_plan)
    act = room.do(wish)
    assert (act.error_type, act.error_message) == ("not_found", "there is no plan:99")
    assert len(on_sale(room)) == 7


def test_whoever_has_seen_an_older_version_is_told_what_changed(room: StaffRoom) -> None:
    """Two people edit one plan: the second sees what the first one did, and overwrites nothing unseen."""
    done(room, edit(price_cents=15_000))
    done(room, edit(expected_version=2, name="Better Package", rollover_minutes=0, minutes=660))
    error, words = refused(room, edit(validity_days=50))
    assert (error, price(room)) == ("plan_changed", 15_000)
    assert words == (
        "since version 1 there is version 2 (price_eur 140.00 → 150.00); version 3 (name Standard Package → "
        "Better Package, hours_included 10.00 → 11.00, price_eur 140.00 → 150.00)"
    )
    for expected in (0, 4, 10**18):
        assert refused(room, edit(expected_version=expected, price_cents=1))[0] == "plan_changed"
    assert done(room, edit(expected_version=3, validity_days=50))["version"] == 4


def test_what_changed_fits_into_a_refusal(room: StaffRoom) -> None:
    """However much was written meanwhile."""
    for number in range(1, 6):
        done(room, edit(expected_version=number, name=f"{number}" * 100, description=f"{number}" * 500))
    error, words = refused(room, edit(price_cents=1))
    assert (error, len(words)) == ("plan_changed", 500)


def test_of_twenty_who_edit_what_they_see_one_wins(room: StaffRoom) -> None:
    """Each of the others is told that it is another plan now."""
    acts = at_once(room, [edit(price_cents=20_000 + number) for number in range(EDITORS)])
    outcomes = [(act.state, act.error_type) for act in acts]
    assert sorted(outcomes) == sorted([(ActState.DONE, None), *[(ActState.REFUSED, "plan_changed")] * (EDITORS - 1)])
    (winner,) = [act for act in acts if act.state is ActState.DONE]
    assert winner.after is not None
    assert [version.version for version in plan(room).versions] == [1, 2]
    assert f"{(price(room) or 0) / 100:.2f}" == winner.after["price_eur"]


def test_twenty_who_try_until_they_have_seen_the_newest_make_twenty_versions(room: StaffRoom) -> None:
    """Each is based on the one before it: none is lost, none is skipped, none counts twice."""

    def insist(number: int) -> None:
        while True:
            newest = plan(room).newest
            assert newest is not None
            minutes = newest.terms.minutes + 1
            if ask(room, edit(expected_version=newest.version, minutes=minutes)).state is ActState.DONE:
                return

    with ThreadPoolExecutor(EDITORS) as pool:
        list(pool.map(insist, range(EDITORS)))
    versions = plan(room).versions
    assert [version.version for version in versions] == list(range(1, EDITORS + 2))
    assert [version.terms.minutes for version in versions] == list(range(600, 600 + EDITORS + 1))


def test_of_twenty_who_name_no_version_none_is_lost(room: StaffRoom) -> None:
    """Each edit is of the plan as the one before it left it, however many come at once."""
    wishes = [edit(expected_version=None, price_cents=20_000 + number) for number in range(EDITORS - 1)]
    acts = at_once(room, [*wishes, edit(expected_version=None, description="Ten hours.")])
    assert {act.state for act in acts} == {ActState.DONE}
    versions = plan(room).versions
    assert [version.version for version in versions] == list(range(1, EDITORS + 2))
    said = [version.terms.description == "Ten hours." for version in versions]
    assert said == sorted(said)
    changed = [(one.terms.price_cents, one.terms.description) for one in versions]
    assert len(set(changed)) == EDITORS + 1


def test_of_twenty_plans_that_are_made_at_once_with_one_name_one_is_there(room: StaffRoom) -> None:
    """None of them sees the others' rows; the lock lets one after the other look."""
    acts = at_once(room, [CreatePlan(**SUMMER) for _ in range(EDITORS)])
    assert sorted(act.state for act in acts) == sorted([ActState.DONE, *[ActState.REFUSED] * (EDITORS - 1)])
    assert on_sale(room).count("Summer Package") == 1


def at_once(room: StaffRoom, wishes: list[Any]) -> list[StaffAct]:
    ids = [room.accept(wish, by=accept_plan).id for wish in wishes]
    together = Barrier(EDITORS)

    def work(act_id: Any) -> None:
        together.wait(timeout=20)
        room.perform(act_id)

    with ThreadPoolExecutor(EDITORS) as pool:
        list(pool.map(work, ids))
    return [room.row(act_id) for act_id in ids]


# --- changes that are scheduled ---


def test_a_scheduled_change_takes_effect_at_its_instant(room: StaffRoom) -> None:
    """Nobody has to be awake; and what it will be can be looked at before."""
    begin = database_now(room) + 10 * DAY
    after = done(room, edit(price_cents=15_000, effective_from=begin))
    assert after["version"] == 2
    assert [version.status for version in plan(room).versions] == ["current", "scheduled"]
    assert price(room) == 14_000
    assert price(room, at=begin - timedelta(microseconds=1)) == 14_000
    assert price(room, at=begin) == 15_000
    assert price(room, at=datetime(2000, 1, 1, tzinfo=UTC)) is None
    pass_days(room, 10)
    assert price(room) == 15_000
    assert [version.status for version in plan(room).versions] == ["over", "current"]


def test_a_change_whose_worker_came_late_counts_from_then_on(room: StaffRoom) -> None:
    """It was in the future when it was asked for; nothing that was sold meanwhile is rewritten."""
    soon = database_now(room) + timedelta(milliseconds=300)
    act_id = room.accept(edit(price_cents=15_000, effective_from=soon), by=accept_plan).id
    while database_now(room) <= soon:
        assert price(room) == 14_000
    room.perform(act_id)
    assert price(room) == 15_000
    assert plan(room).versions[-1].effective_from > soon


def test_an_edit_of_now_leaves_what_is_scheduled_as_it_is(room: StaffRoom) -> None:
    """A spelling that is mended today brings no price of tomorrow, and tomorrow's price comes even so."""
    begin = database_now(room) + DAY
    done(room, edit(price_cents=15_000, effective_from=begin))
    done(room, edit(expected_version=2, description="Ten hours."))
    assert (price(room), price(room, at=begin)) == (14_000, 15_000)
    assert [version.status for version in plan(room).versions] == ["over", "scheduled", "current"]


def test_a_change_for_the_same_instant_replaces_the_scheduled_one(room: StaffRoom) -> None:
    """So a change that is not wanted any more is taken back before it comes."""
    begin = database_now(room) + DAY
    done(room, edit(price_cents=15_000, effective_from=begin))
    done(room, edit(expected_version=2, price_cents=14_000, effective_from=begin))
    assert [version.status for version in plan(room).versions] == ["current", "over", "scheduled"]
    assert price(room, at=begin + DAY) == 14_000


def test_plans_go_by_the_real_time_where_the_clock_was_moved(room: StaffRoom) -> None:
    """Beside the sandbox business time can be months ahead; the database's clock says what is on sale.

    An edit of now is sold now, and one that is scheduled waits for the real time, not for the moved one.
    """
    real = database_now(room)
    room.now = real + 90 * DAY
    done(room, edit(price_cents=15_000))
    assert price(room) == 15_000
    done(room, edit(expected_version=2, price_cents=16_000, effective_from=real + 30 * DAY))
    assert price(room) == 15_000
    assert plan(room).versions[-1].status == "scheduled"


def pass_days(room: StaffRoom, days: int) -> None:
    """As if the plans had been written so much earlier."""
    room.run(
        "UPDATE pricing_plan_version SET effective_from = effective_from - make_interval(days => :days)", days=days
    )


# --- whether and where they are shown ---


def test_plans_are_taken_off_sale_and_put_back(room: StaffRoom) -> None:
    act = ask(room, SetPlans(plan_ids=(4, 3, 4), is_active=False))
    assert (act.action, act.target, act.parameters["plan_ids"]) == (StaffAction.SET_PLANS, "plans", [4, 3])
    assert act.before is not None
    assert act.after is not None
    assert [one["is_active"] for one in act.before["plans"]] == [True, True]
    assert [(one["plan_id"], one["is_active"]) for one in act.after["plans"]] == [(4, False), (3, False)]
    assert "Premium Package" not in on_sale(room)
    done(room, SetPlans(plan_ids=(3,), is_active=True))
    assert "Premium Package" in on_sale(room)


def test_plans_are_featured_and_ordered(room: StaffRoom) -> None:
    """The first of them gets the place, the others those behind it."""
    done(room, SetPlans(plan_ids=(7, 1), is_featured=True, display_order=100))
    assert on_sale(room)[-2:] == ["Family Subscription", "Basic Package"]
    assert (plan(room, 7).display_order, plan(room, 1).display_order) == (100, 101)
    assert plan(room, 1).is_featured
    assert plan(room, 1).is_active


def test_an_edit_shows_the_plan_otherwise_in_the_same_act(room: StaffRoom) -> None:
    """With what was there of both; the flags count at once, whenever the terms do."""
    begin = database_now(room) + DAY
    act = ask(room, edit(price_cents=15_000, effective_from=begin, is_active=False, display_order=9))
    assert (act.state, act.action) == (ActState.DONE, StaffAction.EDIT_PLAN)
    assert act.before is not None
    assert act.after is not None
    assert {name for name in act.after if act.before[name] != act.after[name]} == {
        "version",
        "price_eur",
        "effective_from",
        "is_active",
        "display_order",
    }
    found = plan(room)
    assert (found.is_active, found.is_featured, found.display_order) == (False, True, 9)
    assert [version.status for version in found.versions] == ["current", "scheduled"]


def test_an_edit_of_what_is_shown_alone_makes_no_version(room: StaffRoom) -> None:
    """Whoever sends the whole plan back with one flag changed has changed that flag."""
    after = done(room, edit(name="Standard Package", price_cents=14_000, is_featured=False))
    assert (after["version"], after["is_featured"], len(plan(room).versions)) == (1, False, 1)
    assert refused(room, edit(price_cents=14_000, is_featured=False))[0] == "plan_unchanged"


def test_an_edit_that_is_refused_leaves_how_the_plan_is_shown(room: StaffRoom) -> None:
    done(room, edit(price_cents=15_000))
    assert refused(room, edit(price_cents=1, is_active=False))[0] == "plan_changed"
    assert refused(room, edit(expected_version=2, name="Basic Package", is_featured=False))[0] == "validation_error"
    assert (plan(room).is_active, plan(room).is_featured) == (True, True)


def test_plans_are_set_as_they_were_seen_or_not_at_all(room: StaffRoom) -> None:
    done(room, edit(price_cents=15_000))
    stale = SetPlans(plan_ids=(STANDARD,), is_active=False, expected_version=1)
    assert refused(room, stale) == (
        "plan_changed",
        "since version 1 there is version 2 (price_eur 140.00 → 150.00)",
    )
    assert plan(room).is_active
    done(room, stale.model_copy(update={"expected_version": 2}))
    assert not plan(room).is_active


def test_what_is_not_said_of_a_wish_is_not_in_its_row(room: StaffRoom) -> None:
    """An act of the release before is found again by its key, for it stands for the same words."""
    assert edit(price_cents=1).model_dump(mode="json").keys().isdisjoint({"is_active", "is_featured", "display_order"})
    assert "expected_version" not in SetPlans(plan_ids=(STANDARD,), is_active=False).model_dump(mode="json")
    assert edit(is_active=False, display_order=0).model_dump(mode="json").items() >= {
        ("is_active", False),
        ("display_order", 0),
    }


def test_a_place_beyond_the_last_is_refused_for_all(room: StaffRoom) -> None:
    assert refused(room, SetPlans(plan_ids=(7, 1), display_order=10_000)) == (
        "validation_error",
        "display_order: the last place is 10000",
    )
    assert plan(room, 7).display_order == 7


def test_the_history_of_a_plan_is_in_the_audit_log(room: StaffRoom) -> None:
    """What made it, what edited it, and what set it together with others."""
    done(room, CreatePlan(**SUMMER))
    done(room, edit(8, price_cents=1))
    done(room, SetPlans(plan_ids=(1, 8), is_featured=True))
    done(room, SetPlans(plan_ids=(8,), is_featured=False))
    done(room, edit(1, price_cents=1))

    def actions(target: str) -> list[str]:
        only = ActFilter(target=target)
        page = ask_at(room.url, lambda connection: list_acts(connection, Slice(), only))
        return sorted(act.action for act in page.rows)

    assert actions("plan:8") == ["create_plan", "edit_plan", "set_plans", "set_plans"]
    assert actions("plan:1") == ["edit_plan", "set_plans"]


# --- subscriptions ---


@pytest.fixture
def subscribers(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Subscribers:
    return Subscribers(begin, deployment, vault, now)


def test_who_has_subscribed_keeps_the_price(room: StaffRoom, subscribers: Subscribers) -> None:
    """The next period is the one that was agreed on, until its owner changes the plan."""
    one = subscribers.subscribe(STUDENT)
    done(room, edit(STUDENT_PLAN, price_cents=12_900, minutes=1_200))
    invoice = subscribers.renew(one)
    assert invoice is not None
    first, renewal = subscribers.purchases(one)
    assert (renewal.plan_version_id, renewal.price_cents, renewal.minutes) == (STUDENT, first.price_cents, 900)
    assert (subscribers.row(one).plan_version_id, subscribers.left(one)) == (STUDENT, [900, 900])
    subscribers.prove()


def test_a_new_version_is_a_price_of_its_own_at_stripe_when_it_is_first_sold(
    room: StaffRoom, subscribers: Subscribers, newest_version_id: Callable[[int], int]
) -> None:
    """Of the same product; the old price stays, for those who pay it."""
    before = ensure_price(subscribers.desk, STUDENT)
    done(room, edit(STUDENT_PLAN, price_cents=12_900))
    prices = subscribers.gateway.prices
    assert len(prices) == 1
    made = ensure_price(subscribers.desk, newest_version_id(STUDENT_PLAN))
    assert made != before
    assert sorted(price.amount_cents for price in prices.values()) == [11_900, 12_900]
    assert len({price.product_id for price in prices.values()}) == 1


@pytest.fixture
def newest_version_id(begin: Begin) -> Callable[[int], int]:
    def find(plan_id: int) -> int:
        newest = "SELECT id FROM pricing_plan_version WHERE plan_id = :plan ORDER BY version DESC LIMIT 1"
        with begin() as session:
            version_id = session.execute(text(newest), {"plan": plan_id}).scalar_one()
            return session.get_one(PricingPlanVersion, version_id).id or 0

    return find
