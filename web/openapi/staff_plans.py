"""What is for sale: staff read, the role `admin` changes it without anybody who writes code."""

from billing.staff.plan_wishes import LARGEST_ID
from web.openapi import parameters as given
from web.openapi import staff_plans_answers as shapes
from web.openapi.operation import REPEATED, USER, Answer, Operation, Operations
from web.openapi.parameters import DAY_OR_INSTANT, Parameter, told
from web.openapi.staff import ACCEPTED, ADMIN, ASKED, FOR_STAFF, WITH_KEY
from web.staff.plan_bodies import PlanBody, PlanEditBody, PlansBody

PLANS = f"{ADMIN}plans/"

PLAN_ID: Parameter = {
    "name": "plan_id",
    "in": "path",
    "description": "The `id` of a plan.",
    "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    "required": True,
    "example": 2,
}
IS_ACTIVE: Parameter = {
    "name": "is_active",
    "in": "query",
    "description": "Only what is on sale, or only what is not.",
    "schema": {"type": "string", "enum": ["true", "false"]},
}
AT: Parameter = {
    "name": "at",
    "in": "query",
    "description": "At this instant, or at the end of this day in business time; absent: now.",
    "schema": DAY_OR_INSTANT,
    "example": "2026-09-01",
}
MADE = told("Location", Location={**given.LOCATION, "description": "Where the plan is."}, **REPEATED)
DONE = told(**REPEATED)
IN_TIME = "Done in the time that `Prefer` grants."

STAFF_PLANS: Operations = {
    ("GET", PLANS): Operation(
        "listStaffPlans",
        "All plans, with what was and what is to be",
        "On sale or not, in the order in which they are shown, each with all its versions.",
        {200: Answer("A page.", shapes.StaffPlanPage)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        (*given.LIST_PAGES, IS_ACTIVE),
    ),
    ("POST", PLANS): Operation(
        "createPlan",
        "Make a plan",
        "On sale at once, or from `effective_from` on, unless `is_active` is false.",
        {201: Answer(IN_TIME, shapes.StaffPlan, MADE), 202: ACCEPTED},
        ASKED,
        "staff",
        USER,
        WITH_KEY,
        PlanBody,
    ),
    ("GET", f"{PLANS}{{plan_id}}/"): Operation(
        "readStaffPlan",
        "A plan with all its versions",
        "Its history is in the audit log, with `target=plan:` and its id.",
        {200: Answer("The plan.", shapes.StaffPlan)},
        (*FOR_STAFF, "not_found"),
        "staff",
        USER,
        (PLAN_ID,),
    ),
    ("PATCH", f"{PLANS}{{plan_id}}/"): Operation(
        "editPlan",
        "Change what a plan says, and how it is shown",
        "By a new version, now or from `effective_from` on. Who has bought keeps what he bought, a subscription its "
        "price until its owner changes the plan, and who was shown the old price is told so when he buys. What is "
        "absent stays as it would have been at that instant. Where there is a newer version than the expected one, if "
        "one is named, nothing is done, and the message says what changed. "
        "`is_active`, `is_featured` and `display_order` are of no version. They count at once, also beside an "
        "`effective_from`; alone they make no new version, and the act is `set_plans`, as for many plans.",
        {200: Answer(IN_TIME, shapes.StaffPlan, DONE), 202: ACCEPTED},
        (*ASKED, "not_found", "plan_changed", "plan_unchanged"),
        "staff",
        USER,
        (PLAN_ID, *WITH_KEY),
        PlanEditBody,
    ),
    ("POST", f"{PLANS}bulk/"): Operation(
        "setPlans",
        "Put plans on sale, take them off, feature or order them",
        "All of them, or none. What is taken off sale stays with those who have bought it.",
        {200: Answer(IN_TIME, shapes.StaffPlans, DONE), 202: ACCEPTED},
        (*ASKED, "not_found"),
        "staff",
        USER,
        WITH_KEY,
        PlansBody,
    ),
    ("GET", f"{PLANS}{{plan_id}}/preview/"): Operation(
        "previewPlan",
        "A plan as a buyer would see it",
        "At an instant, so that a change that is scheduled can be looked at before it comes.",
        {200: Answer("As it would be shown.", shapes.PlanPreview)},
        (*FOR_STAFF, "not_found", "validation_error"),
        "staff",
        USER,
        (PLAN_ID, AT),
    ),
}
