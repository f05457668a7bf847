"""What is on sale: the defaults of the contract, edits that stay, and versions that begin at their instant."""

import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlmodel import Session, col, select

from billing import plans
from billing.db import Begin
from billing.models import PricingPlan, PricingPlanVersion
from billing.plans import PlanOnSale
from billing.states import PlanType
from tests.support.factories import add_purchase

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

CONTRACT = [
    # id, name, hours, cents, days, kind, featured
    (1, "Basic Package", 5, 7_500, 30, PlanType.PACKAGE, False),
    (2, "Standard Package", 10, 14_000, 45, PlanType.PACKAGE, True),
    (3, "Premium Package", 20, 26_000, 60, PlanType.PACKAGE, False),
    (4, "Intensive Package", 40, 48_000, 90, PlanType.PACKAGE, False),
    (5, "Monthly Unlimited", 30, 19_900, None, PlanType.SUBSCRIPTION, True),
    (6, "Student Subscription", 15, 11_900, None, PlanType.SUBSCRIPTION, False),
    (7, "Family Subscription", 50, 29_900, None, PlanType.SUBSCRIPTION, False),
]


def on_sale(begin: Begin) -> list[PlanOnSale]:
    with begin() as session:
        rows = session.execute(text("SELECT * FROM plan_on_sale ORDER BY display_order")).mappings()
        return [PlanOnSale.of(row) for row in rows]


def price(begin: Begin, plan_id: int = 2) -> int:
    return next(plan.price_cents for plan in on_sale(begin) if plan.plan_id == plan_id)


def add_version(begin: Begin, version: int, price_cents: int, effective_from: datetime) -> None:
    """The standard package at another price."""
    with begin() as session:
        standard = select(PricingPlanVersion).where(PricingPlanVersion.plan_id == 2, PricingPlanVersion.version == 1)
        first = session.exec(standard).one()
        facts = first.model_dump(exclude={"id", "version", "price_cents", "effective_from"})
        changed = PricingPlanVersion(**facts, version=version, price_cents=price_cents, effective_from=effective_from)
        session.add(changed)


def forget(begin: Begin, *codes: str) -> None:
    with begin() as session:
        for table, column in (("pricing_plan_version", "plan_id"), ("pricing_plan", "id")):
            doomed = f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM pricing_plan WHERE code = ANY(:codes))"  # noqa: S608
            session.execute(text(doomed), {"codes": list(codes)})


def test_the_defaults_are_those_of_the_contract(begin: Begin) -> None:
    """Buyers, sandbox and documentation speak of plan 2 at 140 €; a typing error here sells hours at a wrong price."""
    found = on_sale(begin)
    assert [
        (
            plan.plan_id,
            plan.name,
            plan.minutes // 60,
            plan.price_cents,
            plan.validity_days,
            plan.plan_type,
            plan.is_featured,
        )
        for plan in found
    ] == CONTRACT
    assert [plan.display_order for plan in found] == [1, 2, 3, 4, 5, 6, 7]
    assert all(plan.currency == "eur" and plan.minutes % 60 == 0 and plan.description for plan in found)


@pytest.mark.parametrize("force", [False, True])
def test_loading_twice_adds_nothing(begin: Begin, force: bool) -> None:
    """Every start of the pipeline loads them."""
    before = on_sale(begin)
    assert plans.load_defaults(begin, force=force, now=NOON) == []
    assert on_sale(begin) == before


def test_a_used_table_is_left_alone(begin: Begin) -> None:
    """A plan that the business took away stays away."""
    forget(begin, "premium", "family")
    assert plans.load_defaults(begin, force=False, now=NOON) == []
    assert len(on_sale(begin)) == 5


def test_force_adds_what_is_missing_and_leaves_what_was_edited(begin: Begin) -> None:
    """Whoever wants the defaults back loses no price of the own."""
    forget(begin, "premium", "family")
    with begin() as session:
        basic = _plan(session, "basic")
        basic.is_active, basic.display_order = False, 99
    add_version(begin, 2, 15_000, NOON)
    assert plans.load_defaults(begin, force=True, now=NOON) == ["premium", "family"]
    names = [plan.name for plan in on_sale(begin)]
    assert names == [name for _, name, *_ in CONTRACT if name != "Basic Package"]
    assert price(begin) == 15_000


def test_an_empty_table_is_filled_in_order(begin: Begin) -> None:
    """The ids of a fresh installation are those of the contract's examples."""
    forget(begin, *(plan.code for plan in plans.DEFAULT_PLANS))
    codes = plans.load_defaults(begin, force=False, now=NOON)
    assert codes == ["basic", "standard", "premium", "intensive", "monthly", "student", "family"]
    with begin() as session:
        assert list(session.exec(select(PricingPlan.code).order_by(col(PricingPlan.id)))) == codes


def test_a_new_version_is_on_sale_from_its_instant_on(begin: Begin) -> None:
    """A price that changes at midnight changes at midnight, without anybody awake."""
    with begin() as session:
        soon = session.execute(text("SELECT clock_timestamp() + interval '250 ms'")).scalar_one()
    add_version(begin, 2, 15_000, soon)
    assert price(begin) == 14_000
    time.sleep(0.3)
    assert price(begin) == 15_000


def test_of_versions_that_begin_together_the_last_counts(begin: Begin) -> None:
    """A correction is sold, not what it corrects; a version of tomorrow is not sold today."""
    add_version(begin, 2, 15_000, NOON)
    add_version(begin, 3, 16_000, NOON)
    with begin() as session:
        tomorrow = session.execute(text("SELECT now() + interval '1 day'")).scalar_one()
    add_version(begin, 4, 17_000, tomorrow)
    assert price(begin) == 16_000


def test_a_purchase_keeps_the_version_it_was_made_with(begin: Begin) -> None:
    """What a buyer was shown is what the receipt says, however often the plan is edited."""
    purchase = add_purchase(begin, at=NOON)
    add_version(begin, 2, 15_000, NOON)
    with begin() as session:
        facts = text("SELECT * FROM plan_facts WHERE version_id = :version")
        row = session.execute(facts, {"version": purchase.plan_version_id}).mappings().one()
    assert PlanOnSale.of(row).price_cents == 14_000


def test_an_inactive_plan_is_not_on_sale(begin: Begin) -> None:
    """Taking a plan off sale is one switch."""
    with begin() as session:
        _plan(session, "standard").is_active = False
    assert "Standard Package" not in [plan.name for plan in on_sale(begin)]


def _plan(session: Session, code: str) -> PricingPlan:
    return session.exec(select(PricingPlan).where(PricingPlan.code == code)).one()
