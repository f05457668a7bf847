"""Plans as people of the business want them: made, edited by new versions, archived, featured, ordered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlmodel import Session, col, func, select

from billing.errors import NotFoundError, RefusedError
from billing.models import PricingPlan, PricingPlanVersion, StaffAct
from billing.plans.terms import PlanTermsError, Terms, begins_at, check, terms_of, written
from billing.plans.versions import (
    add_version,
    check_names,
    check_version,
    database_now,
    effective_at,
    lock_plans,
    versions_of,
)
from billing.reads.written import instant
from billing.staff.effects import Context, Effect
from billing.staff.plan_wishes import LAST_PLACE, CreatePlan, EditPlan, SetPlans

# The instants of plans are the database's, by which they are on sale; `context.now` may have been moved ahead of it.


class PlanUnchangedError(RefusedError):
    """At that instant the plan says all of this already, and is shown so."""

    error_type = "plan_unchanged"


def create_plan(session: Session, act: StaffAct, context: Context) -> Effect:
    """Raises PlanTermsError."""
    wish = CreatePlan.model_validate(act.parameters)
    lock_plans(session)
    check(wish.terms)
    now = database_now(session)
    begin = begins_at(wish.effective_from, now)
    plan = PricingPlan(
        code=f"plan-{act.id.hex}",
        is_active=wish.is_active,
        is_featured=wish.is_featured,
        display_order=_last_place(session) if wish.display_order is None else wish.display_order,
        created_at=now,
    )
    session.add(plan)
    session.flush()
    plan_id = _id(plan)
    made = add_version(session, plan_id, 1, wish.terms, begin)
    check_names(session, [plan_id])
    return Effect(None, {"plan_id": plan_id, **_shown(plan), **_said(made)})


def edit_plan(session: Session, act: StaffAct, context: Context) -> Effect:
    """Raises NotFoundError, PlanChangedError, PlanTermsError or PlanUnchangedError.

    What stays as it is stays as it would have been at that instant: a change that is scheduled already keeps its own.
    """
    wish = EditPlan.model_validate(act.parameters)
    lock_plans(session)
    versions = _versions(session, wish.plan_id, wish.expected_version)
    begin = begins_at(wish.effective_from, database_now(session))
    present = effective_at(versions, begin)
    terms = new_terms(wish, terms_of(present))
    (plan,) = _plans(session, [wish.plan_id])
    was_shown = _shown(plan)
    _set(plan, wish)
    if (terms, _shown(plan)) == (terms_of(present), was_shown):
        raise PlanUnchangedError("nothing of the plan would change")
    made = _next_version(session, versions, present, terms, begin)
    session.flush()
    check_names(session, [wish.plan_id])
    return Effect(_edited(wish, present, was_shown), _edited(wish, made, _shown(plan)))


def _next_version(
    session: Session,
    versions: Sequence[PricingPlanVersion],
    present: PricingPlanVersion,
    terms: Terms,
    begin: datetime,
) -> PricingPlanVersion:
    """The present one where it says these terms already, and the plan is only shown otherwise."""
    if terms == terms_of(present):
        return present
    return add_version(session, present.plan_id, versions[-1].version + 1, terms, begin)


def _edited(wish: EditPlan, version: PricingPlanVersion, shown: Mapping[str, Any]) -> Mapping[str, Any]:
    """How it is shown is told where the edit is about that, too."""
    return {"plan_id": wish.plan_id, **_said(version), **(shown if wish.is_shown_otherwise else {})}


def new_terms(wish: EditPlan, present: Terms) -> Terms:
    """Raises PlanTermsError for what cannot be."""
    if wish.plan_type not in (None, present.plan_type):
        raise PlanTermsError({"plan_type": [f"stays {present.plan_type}: another type is another plan"]})
    terms = wish.edited(present)
    check(terms)
    return terms


def set_plans(session: Session, act: StaffAct, context: Context) -> Effect:
    """Raises NotFoundError, PlanChangedError or PlanTermsError; then none of them is set."""
    wish = SetPlans.model_validate(act.parameters)
    lock_plans(session)
    plans = _plans(session, wish.plan_ids)
    if wish.expected_version is not None:
        for plan_id in wish.plan_ids:
            _versions(session, plan_id, wish.expected_version)
    before = [{"plan_id": _id(plan), **_shown(plan)} for plan in plans]
    for number, plan in enumerate(plans):
        _set(plan, wish, number)
    session.flush()
    if wish.is_active:
        check_names(session, wish.plan_ids)
    after = [{"plan_id": _id(plan), **_shown(plan)} for plan in plans]
    return Effect({"plans": before}, {"plans": after})


def _set(plan: PricingPlan, wish: EditPlan | SetPlans, number: int = 0) -> None:
    if wish.is_active is not None:
        plan.is_active = wish.is_active
    if wish.is_featured is not None:
        plan.is_featured = wish.is_featured
    if wish.display_order is not None:
        plan.display_order = _place(wish.display_order + number)


def _versions(session: Session, plan_id: int, expected: int | None) -> Sequence[PricingPlanVersion]:
    """From the first to the newest.

    Raises NotFoundError where there is none, PlanChangedError where another one than the expected is the newest.
    """
    versions = versions_of(session, plan_id)
    if not versions:
        raise NotFoundError(f"there is no plan:{plan_id}")
    if expected is not None:
        check_version(versions, expected)
    return versions


def _plans(session: Session, plan_ids: Sequence[int]) -> Sequence[PricingPlan]:
    """In this order."""
    found = {_id(plan): plan for plan in session.exec(select(PricingPlan).where(col(PricingPlan.id).in_(plan_ids)))}
    if unknown := [plan_id for plan_id in plan_ids if plan_id not in found]:
        raise NotFoundError(f"there is no plan:{unknown[0]}")
    return [found[plan_id] for plan_id in plan_ids]


def _last_place(session: Session) -> int:
    last = session.exec(select(func.max(PricingPlan.display_order))).one()
    return min(LAST_PLACE, (last or 0) + 1)


def _place(place: int) -> int:
    if place > LAST_PLACE:
        raise PlanTermsError({"display_order": [f"the last place is {LAST_PLACE}"]})
    return place


def _id(plan: PricingPlan) -> int:
    return cast("int", plan.id)  # flushed, or read


def _shown(plan: PricingPlan) -> Mapping[str, Any]:
    return {"is_active": plan.is_active, "is_featured": plan.is_featured, "display_order": plan.display_order}


def _said(version: PricingPlanVersion) -> Mapping[str, Any]:
    return {
        "version": version.version,
        **written(terms_of(version)),
        "effective_from": instant(version.effective_from),
    }
