"""What was bought, paid and given back."""

from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette_admin.actions import ActionSelection, action

from billing.states import (
    DisputeState,
    PlanType,
    PurchaseChannel,
    PurchaseState,
    RefundOrigin,
    RefundState,
    SubscriptionStatus,
)
from web.admin.lists.fields import At, Euros, Facts, Flag, Hours, Id, Link, Number, Text, word
from web.admin.lists.links import ActingList, Fits, act_page, leads_to
from web.admin.lists.rows import RowList


def _has_hours_to_extend(purchase: Any) -> bool:
    return purchase.state is PurchaseState.COMPLETED and purchase.plan_type is PlanType.PACKAGE


class PurchaseList(ActingList):
    key, menu_label, display_name, icon = "purchase", "Purchases", "Purchase", "fa fa-cart-shopping"
    fields = (
        Number("transaction_id", label="Transaction"),
        word("state", PurchaseState),
        Text("buyer_email", label="Buyer's e-mail"),
        Text("buyer_name", label="Buyer"),
        Euros("price_cents", label="Price (€)"),
        Hours("minutes", label="Hours"),
        Euros("refunded_cents", label="Given back (€)"),
        Link("student_id", label="Student", to="student"),
        Link("plan_version_id", label="Plan", to="version"),
        word("plan_type", PlanType, label="Kind", exclude_from_list=True),
        word("channel", PurchaseChannel, exclude_from_list=True),
        At("accepted_at", label="Accepted"),
        At("paid_at", label="Paid"),
        Id("id", label="Task", exclude_from_list=True),
        Euros("refunding_cents", label="On its way back (€)", exclude_from_list=True),
        Text("payment_intent_id", label="Payment intent", exclude_from_list=True),
        Text("stripe_invoice_id", label="Invoice at Stripe", exclude_from_list=True),
        Link("subscription_id", label="Subscription", to="subscription", exclude_from_list=True),
        Text("error_type", label="Refused because", exclude_from_list=True),
        Text("error_message", label="In words", exclude_from_list=True),
        Text("last_error", label="Last error of a worker", exclude_from_list=True),
        Number("attempts", exclude_from_list=True),
        At("due_at", label="Worked next", exclude_from_list=True),
        At("gave_up_at", label="Gave up", exclude_from_list=True),
        Text("request_id", label="Request", exclude_from_list=True),
    )
    sortable_fields = ("transaction_id",)
    fields_default_sort = (("transaction_id", True),)
    row_actions = ("view", "refund", "extend")
    actions = ("extend_all",)
    for_admins = frozenset({"refund"})
    fits: ClassVar[Mapping[str, Fits]] = {
        "refund": lambda row: row.state is PurchaseState.COMPLETED,
        "extend": _has_hours_to_extend,
    }
    related: ClassVar[Mapping[str, str]] = {
        "lot": "Hours",
        "entry": "Entries",
        "refund": "Refunds",
        "dispute": "Disputes",
        "receipt": "Receipt",
        "event": "Events",
        "case": "Cases",
        "finding": "Findings",
    }
    related_by = "transaction_id"
    refund = leads_to("refund", "Refund", "fa fa-rotate-left")
    extend = leads_to("extend", "Extend", "fa fa-calendar-plus")

    @action(name="extend_all", text="Extend…", icon_class="fa fa-calendar-plus", custom_response=True)
    async def extend_all(self, request: Request, selection: ActionSelection) -> Response:
        numbers = [str(row.transaction_id) for row in await selection.rows()]
        return RedirectResponse(act_page("extend", ",".join(numbers)), 303)


class RefundList(ActingList):
    key, menu_label, display_name, icon = "refund", "Refunds", "Refund", "fa fa-rotate-left"
    fields = (
        Id("id", exclude_from_list=True),
        Link("purchase_id", label="Transaction", to="purchase"),
        word("state", RefundState),
        word("origin", RefundOrigin),
        Euros("amount_cents", label="Amount (€)"),
        Hours("minutes", label="Hours taken"),
        Hours("minutes_short", label="Hours owed"),
        Text("stripe_refund_id", label="Refund at Stripe"),
        Text("error_message", label="Why not"),
        At("created_at", label="Asked for"),
        At("decided_at", label="Decided"),
        Text("last_error", label="Last error of a worker", exclude_from_list=True),
        At("due_at", label="Worked next", exclude_from_list=True),
        Text("request_id", label="Request", exclude_from_list=True),
    )
    sortable_fields = ("created_at",)
    fields_default_sort = (("created_at", True),)


class DisputeList(RowList):
    key, menu_label, display_name, icon = "dispute", "Disputes", "Dispute", "fa fa-gavel"
    fields = (
        Id("id", exclude_from_list=True),
        Text("stripe_dispute_id", label="Dispute at Stripe"),
        Link("purchase_id", label="Transaction", to="purchase"),
        word("state", DisputeState),
        Text("status", label="Stripe's word"),
        Text("reason"),
        Euros("amount_cents", label="Amount (€)"),
        Euros("withdrawn_cents", label="Taken by the bank (€)"),
        Hours("minutes_frozen", label="Hours frozen"),
        Hours("minutes_lost", label="Hours lost", exclude_from_list=True),
        Hours("minutes_short", label="Hours owed", exclude_from_list=True),
        At("evidence_due_at", label="Evidence is due"),
        At("opened_at", label="Opened"),
        At("decided_at", label="Decided"),
    )
    sortable_fields = ("opened_at", "evidence_due_at")
    fields_default_sort = (("opened_at", True),)


class SubscriptionList(RowList):
    key, menu_label, display_name, icon = "subscription", "Subscriptions", "Subscription", "fa fa-repeat"
    fields = (
        Id("id", exclude_from_list=True),
        Text("stripe_subscription_id", label="Subscription at Stripe"),
        Link("student_id", label="Student", to="student"),
        Link("plan_version_id", label="Plan", to="version"),
        word("status", SubscriptionStatus),
        Flag("is_paused", label="Paused"),
        Flag("cancel_at_period_end", label="Ends with its period"),
        At("period_start", label="Period from"),
        At("period_end", label="Period until"),
        Text("stripe_customer_id", label="Customer at Stripe", exclude_from_list=True),
        Text("invoice_id", label="Unpaid invoice", exclude_from_list=True),
        Euros("invoice_cents", label="Due (€)"),
        Number("invoice_attempts", label="Tried", exclude_from_list=True),
        At("next_attempt_at", label="Tried next", exclude_from_list=True),
        At("began_at", label="Began"),
        At("ended_at", label="Ended", exclude_from_list=True),
    )
    sortable_fields = ("began_at", "period_end")
    fields_default_sort = (("began_at", True),)


class CardList(RowList):
    key, menu_label, display_name, icon = "card", "Cards", "Card", "fa fa-credit-card"
    fields = (
        Id("id", exclude_from_list=True),
        Text("stripe_payment_method_id", label="Card at Stripe"),
        Link("student_id", label="Student", to="student"),
        Text("brand"),
        Text("last4", label="Last four"),
        Number("exp_month", label="Month"),
        Number("exp_year", label="Year"),
        Flag("is_default", label="Default"),
        At("attached_at", label="Saved"),
        At("detached_at", label="Removed"),
    )
    sortable_fields = ("attached_at",)
    fields_default_sort = (("attached_at", True),)


class ReceiptList(RowList):
    key, menu_label, display_name, icon = "receipt", "Receipts", "Receipt", "fa fa-receipt"
    fields = (
        Id("id", exclude_from_list=True),
        Number("year"),
        Number("serial", label="Number"),
        Link("purchase_id", label="Transaction", to="purchase"),
        Text("invoice_ref", label="Invoice"),
        At("requested_at", label="Asked for"),
        At("issued_at", label="Issued"),
        Facts("facts", label="Printed"),
        Text("last_error", label="Last error of a worker", exclude_from_list=True),
    )
    sortable_fields = ("requested_at", "serial")
    fields_default_sort = (("requested_at", True),)


class PlanList(ActingList):
    key, menu_label, display_name, icon = "plan", "Plans", "Plan", "fa fa-tags"
    fields = (
        Number("id", label="Number"),
        Text("code"),
        Flag("is_active", label="On sale"),
        Flag("is_featured", label="Featured"),
        Number("display_order", label="Place"),
        At("created_at", label="Made"),
    )
    sortable_fields = ("id", "display_order")
    fields_default_sort = (("display_order", False),)
    row_actions = ("view", "edit-plan")
    actions = ("set_plans",)
    for_admins = frozenset({"edit-plan", "set_plans"})
    new_page = "/admin/acts/create-plan"
    related: ClassVar[Mapping[str, str]] = {"version": "Versions"}
    related_by = "id"
    change = leads_to("edit-plan", "Change", "fa fa-pen")

    @action(name="set_plans", text="Show or hide…", icon_class="fa fa-eye", custom_response=True)
    async def set_plans(self, request: Request, selection: ActionSelection) -> Response:
        return RedirectResponse(act_page("set-plans", ",".join(str(row.id) for row in await selection.rows())), 303)


class VersionList(RowList):
    key, menu_label, display_name, icon = "version", "Versions of plans", "Version", "fa fa-clock-rotate-left"
    fields = (
        Number("id", label="Number"),
        Link("plan_id", label="Plan", to="plan"),
        Number("version"),
        Text("name"),
        Text("description", exclude_from_list=True),
        word("plan_type", PlanType, label="Kind"),
        Hours("minutes", label="Hours"),
        Euros("price_cents", label="Price (€)"),
        Number("validity_days", label="Days"),
        Hours("rollover_minutes", label="Hours that roll over", exclude_from_list=True),
        At("effective_from", label="From"),
    )
    sortable_fields = ("id", "effective_from")
    fields_default_sort = (("id", True),)
