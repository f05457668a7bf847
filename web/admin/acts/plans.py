"""What is for sale: a new plan, other terms from some instant on, and where plans are shown."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from billing.clock import machine_now
from billing.lists.search import number_of
from billing.plans.terms import Terms, check, check_begin, written
from billing.reads.plans import PlanView, find_plan, find_plans
from billing.reads.written import price_per_hour
from billing.staff.accept_plan import accept_plan
from billing.staff.plan_wishes import LARGEST_ID, MOST_PLANS, CreatePlan, EditPlan
from billing.staff.wishes import Wish
from billing.states import PlanType
from web.admin.acts.form import REASON, AcceptBy, Act, Input, Subject, Table
from web.admin.lists.fields import page_of
from web.errors import invalid
from web.staff.plan_bodies import PlanBody, PlanEditBody, PlansBody

KINDS = [(kind.value, kind.value) for kind in PlanType]
YES_OR_NO = [("", "as it is"), ("yes", "yes"), ("no", "no")]
BEGIN = Input(
    "effective_from", "From", "datetime-local", "Business time; empty: at once. Purchases keep the terms they had."
)
PLACE = Input("display_order", "Place", "number", "The smallest stands first.")


WORDS: Mapping[str, str] = {
    "name": "Name",
    "description": "Description",
    "plan_type": "Kind",
    "hours_included": "Hours",
    "price_eur": "Price (€)",
    "currency": "Currency",
    "validity_days": "Days",
    "rollover_minutes": "Minutes that roll over",
}
"""What the terms of a plan are called on its pages, in its form and beside it."""


class OfPlans(Act):
    accept_by = AcceptBy(accept_plan)

    async def _plans(self, of: Sequence[str]) -> Sequence[PlanView]:
        """All of them, or nothing."""
        ids = [number for one in of if (number := number_of(one)) is not None and number <= LARGEST_ID]
        if not 0 < len(set(of)) <= MOST_PLANS or len(set(ids)) != len(set(of)):
            return ()
        found = await self.door.ask(lambda connection: find_plans(connection, ids))
        return found if len(found) == len(set(ids)) else ()


class MakePlan(OfPlans):
    name, title, button = "create-plan", "New plan", "Make this plan"
    can_preview = True

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        return Subject("A plan that is not there yet", {}, back="/admin/plan/list") if of == [""] else None

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (
            *_terms_inputs(None),
            BEGIN,
            Input("is_active", "On sale", "checkbox", given="on"),
            Input("is_featured", "Featured", "checkbox"),
            PLACE,
            REASON,
        )

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        body = PlanBody.of(_begun(given, self.door.settings.zone))
        return body.wish, body.reason

    def preview(self, subject: Subject, wish: Wish) -> Sequence[Table]:
        if not isinstance(wish, CreatePlan):
            return ()
        check(wish.terms)
        check_begin(wish.effective_from, machine_now())
        return (_card(wish.terms),)


class ChangePlan(OfPlans):
    """By a new version: what was bought keeps the one that it was bought with."""

    name, title, button = "edit-plan", "Change a plan", "Make this the next version"
    can_preview = True

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        number = number_of(of[0]) if len(of) == 1 else None
        if number is None or number > LARGEST_ID:
            return None
        plan = await self.door.ask(lambda connection: find_plan(connection, number))
        if plan is None or plan.newest is None:
            return None
        zone = self.door.settings.zone
        facts = {"Newest version": str(plan.newest.version), **_facts(_seen(plan))}
        return Subject(f"Plan {plan.code}", facts, (_versions(plan, zone),), back=page_of("plan", plan.id), loaded=plan)

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (*_terms_inputs(_seen(subject.loaded)), BEGIN, REASON)

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        """An emptied number of days or of minutes is none."""
        plan: PlanView = subject.loaded
        none = {name: None for name in ("validity_days", "rollover_minutes") if given.get(name) in (None, "")}
        kept = {**_begun(given, self.door.settings.zone), **none, "description": given.get("description", "")}
        body = PlanEditBody.of({**kept, "expected_version": plan.versions[-1].version})
        return body.wish(plan.id), body.reason

    def preview(self, subject: Subject, wish: Wish) -> Sequence[Table]:
        if not isinstance(wish, EditPlan):
            return ()
        terms = wish.edited(_seen(subject.loaded))
        check(terms)
        check_begin(wish.effective_from, machine_now())
        return (_card(terms),)


class ShowPlans(OfPlans):
    """One plan or several: on sale or not, featured or not, and in which order."""

    name, title, button = "set-plans", "Show plans", "Show them so"

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        plans = await self._plans(of)
        if not plans:
            return None
        facts = {plan.code: _place(plan) for plan in plans}
        return Subject(f"{len(plans)} plans", facts, back="/admin/plan/list", loaded=[plan.id for plan in plans])

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (
            Input("is_active", "On sale", "select", choices=YES_OR_NO),
            Input("is_featured", "Featured", "select", choices=YES_OR_NO),
            Input("display_order", "Place of the first", "number", "The others follow it; empty: as it is."),
            REASON,
        )

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        words = {name: given[name] == "yes" for name in ("is_active", "is_featured") if name in given}
        rest = {name: value for name, value in given.items() if name not in words and value != ""}
        body = PlansBody.of({**rest, **words, "plan_ids": subject.loaded})
        if not body.says_something:
            raise invalid("is_active", "say what is to be otherwise")
        return body.wish, body.reason


def _seen(plan: PlanView) -> Terms:
    """What the form begins with: the newest terms, scheduled ones too."""
    return plan.versions[-1].terms


def _terms_inputs(terms: Terms | None) -> Sequence[Input]:
    now = {name: "" if value is None else str(value) for name, value in written(terms).items()} if terms else {}
    return (
        Input("name", "Name", given=now.get("name", "")),
        Input("description", "Description", "textarea", given=now.get("description", "")),
        Input("plan_type", "Kind", "select", choices=KINDS, given=now.get("plan_type", PlanType.PACKAGE)),
        Input("hours_included", "Hours", hint="Such as 10 or 1.50.", given=now.get("hours_included", "")),
        Input("price_eur", "Price (€)", given=now.get("price_eur", "")),
        Input(
            "validity_days", "Days", "number", "Of a package; a subscription has none.", now.get("validity_days", "")
        ),
        Input(
            "rollover_minutes",
            "Minutes that roll over",
            "number",
            "Of a subscription; empty: none.",
            now.get("rollover_minutes", ""),
        ),
    )


def _facts(terms: Terms) -> dict[str, str]:
    return {
        WORDS[name]: "none" if value is None else str(value)
        for name, value in written(terms).items()
        if name != "minutes"
    }


def _versions(plan: PlanView, zone: ZoneInfo) -> Table:
    rows = [
        (
            str(one.version),
            one.status,
            one.effective_from.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z"),
            one.terms.name,
            str(written(one.terms)["price_eur"]),
            str(written(one.terms)["hours_included"]),
        )
        for one in reversed(plan.versions)
    ]
    return Table("Versions", ("Version", "Status", "From", "Name", "€", "Hours"), rows)


def _card(terms: Terms) -> Table:
    facts = {**_facts(terms), "Price per hour (€)": price_per_hour(terms.price_cents, terms.minutes)}
    return Table("As a buyer would see it", ("", ""), [*facts.items()])


def _place(plan: PlanView) -> str:
    words = ["on sale" if plan.is_active else "not on sale", "featured" if plan.is_featured else "not featured"]
    return f"{', '.join(words)}, place {plan.display_order}"


def _begun(given: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """Numbers that were left empty are none, and an instant is written as the API takes it."""
    found = {name: value for name, value in given.items() if value != ""}
    if begin := found.get("effective_from"):
        try:
            at = datetime.fromisoformat(begin).replace(tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError):
            raise invalid("effective_from", "must be a date and a time") from None
        found["effective_from"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return found
