"""The owner of an account: saved cards, a subscription, and hours bought with a saved card."""

from collections.abc import Sequence

from pydantic import BaseModel

from web.accounts.bodies import AS_CARD_ID, CancelBody, CardBody, ChangePlanBody, TopUpBody
from web.openapi import accounts_answers as shapes
from web.openapi import answers
from web.openapi import parameters as given
from web.openapi.operation import REPEATED, TOKEN, USER, WITH_BODY, Answer, Operation, Operations
from web.openapi.parameters import Parameter, told
from web.paths import PREFIX

CARDS, SUBSCRIPTION = f"{PREFIX}payment-methods/", f"{PREFIX}subscription/"

OF_STRIPE = (
    "card_error",
    "declined_authentication_required",
    "declined_rate_limit_error",
    "invalid_request_error",
    "api_error",
    "api_connection_error",
    "authentication_error",
)
"""A wish that Stripe refuses, or could not be asked for too long."""
ASKED = (*TOKEN, "validation_error", "student_unknown", "idempotency_mismatch", "in_progress", *OF_STRIPE)
ASKED_WITH_BODY = (*ASKED, *WITH_BODY)
UNCHANGED = ("no_subscription", "subscription_ended", "already_cancelled", "cancelled_meanwhile")
UNCHARGED = ("no_payment_method", "card_expired")

CARD_ID: Parameter = {
    "name": "card_id",
    "in": "path",
    "description": "The `id` of a saved card.",
    "schema": AS_CARD_ID,
    "required": True,
    "example": "pm_1Q",
}
LATER = told("Location", "Retry-After", Location=given.WHERE_IT_STANDS, Retry_After=given.RETRY_AFTER, **REPEATED)
NOW = told("Location", Location=given.WHERE_IT_STANDS, **REPEATED)
BOUGHT = told("Location", "X-Access-Token", Location=given.LOCATION, X_Access_Token=given.ACCESS_TOKEN, **REPEATED)
WITH_KEY = (given.IDEMPOTENCY_KEY, given.PREFER)
ACCEPTED = Answer("Accepted; a worker does it.", shapes.AccountActAccepted, LATER)
DONE = "Done in the time that `Prefer` grants."
ONCE = "Without a key, the same wish again is the one that still waits, where none came after it."


def _subscription(
    name: str,
    summary: str,
    description: str,
    problems: Sequence[str],
    body: type[BaseModel] | None = None,
    *,
    is_body_optional: bool = False,
) -> Operation:
    return Operation(
        name,
        summary,
        f"{description} {ONCE}",
        {200: Answer(DONE, shapes.OwnSubscription, NOW), 202: ACCEPTED},
        (*(ASKED_WITH_BODY if body else ASKED), *UNCHANGED, *problems),
        "account",
        USER,
        WITH_KEY,
        body,
        is_body_optional,
    )


ACCOUNTS: Operations = {
    ("GET", CARDS): Operation(
        "listCards",
        "Saved cards",
        "The default one first.",
        {200: Answer("All of them.", shapes.Cards)},
        TOKEN,
        "account",
        USER,
    ),
    ("POST", CARDS): Operation(
        "addCard",
        "Save a card",
        "With `payment_method_id` that one is saved. Without it, or without a body, the outcome has what a browser "
        f"needs to save one by itself: the client secret of a setup intent. {ONCE}",
        {201: Answer(DONE, [shapes.Cards, shapes.CardSetup], NOW), 202: ACCEPTED},
        (*ASKED_WITH_BODY, "card_not_found", "card_expired"),
        "account",
        USER,
        WITH_KEY,
        CardBody,
        is_body_optional=True,
    ),
    ("POST", f"{CARDS}{{card_id}}/set-default/"): Operation(
        "setDefaultCard",
        "Pay with this card",
        f"From now on, the subscription too. {ONCE}",
        {200: Answer(DONE, shapes.Cards, NOW), 202: ACCEPTED},
        (*ASKED, "card_not_found", "card_expired"),
        "account",
        USER,
        (CARD_ID, *WITH_KEY),
    ),
    ("DELETE", f"{CARDS}{{card_id}}/"): Operation(
        "removeCard",
        "Forget a card",
        f"Where it is the default one, another takes its place. {ONCE}",
        {200: Answer(DONE, shapes.Cards, NOW), 202: ACCEPTED},
        (*ASKED, "card_not_found", "card_in_use"),
        "account",
        USER,
        (CARD_ID, *WITH_KEY),
    ),
    ("GET", SUBSCRIPTION): Operation(
        "readSubscription",
        "How a subscription stands",
        "With what is due, and by which it can be paid, where a renewal failed.",
        {200: Answer("The subscription, if there is one.", shapes.OwnSubscription)},
        TOKEN,
        "account",
        USER,
    ),
    ("POST", f"{SUBSCRIPTION}cancel/"): _subscription(
        "cancelSubscription",
        "End a subscription",
        "At the end of the paid period, or at once; the hours of that period live to its end either way, and nothing "
        "is given back. From the answer on nothing is charged any more.",
        (),
        CancelBody,
        is_body_optional=True,
    ),
    ("POST", f"{SUBSCRIPTION}resume/"): _subscription(
        "resumeSubscription",
        "Let a subscription go on",
        "One that was to end with its period, or that is paused.",
        ("not_cancelling",),
    ),
    ("POST", f"{SUBSCRIPTION}pause/"): _subscription(
        "pauseSubscription",
        "Let a subscription rest",
        "Its next periods are neither charged nor credited until it is resumed.",
        ("already_paused",),
    ),
    ("POST", f"{SUBSCRIPTION}change-plan/"): _subscription(
        "changePlan",
        "Another plan from the next period on",
        "The present period stays as it was paid.",
        ("plan_unknown", "plan_not_recurring", "same_plan"),
        ChangePlanBody,
    ),
    ("POST", f"{SUBSCRIPTION}pay/"): _subscription(
        "paySubscription",
        "Pay what is due now",
        "The invoice of a renewal that failed, with the default card of now.",
        ("nothing_due", *UNCHARGED),
    ),
    ("GET", f"{PREFIX}account-acts/{{act_id}}/"): Operation(
        "readAccountAct",
        "What became of a wish",
        "Done or refused, or not decided yet; for whoever asked for it.",
        {200: Answer("The act.", shapes.AccountAct)},
        (*TOKEN, "not_found"),
        "account",
        USER,
        (given.ACT_ID,),
    ),
    ("POST", f"{PREFIX}quick-topup/"): Operation(
        "topUp",
        "Buy a package with a saved card",
        "With the default card, or with the one that is named, while its owner need not be there. It is followed as "
        "any purchase is; where the bank wants to see its owner, it fails with `authentication_required` and keeps "
        "the client secret by which a browser can finish it. Without a key, the same wish within a minute is the same "
        "purchase. Limited as purchases are.",
        {
            201: Answer("Ready in the time that `Prefer` grants.", answers.Purchase, BOUGHT),
            202: Answer("Accepted; follow it.", answers.PurchaseAccepted, LATER),
        },
        (
            *WITH_BODY,
            *TOKEN,
            "card_not_found",
            *UNCHARGED,
            "topup_needs_a_package",
            "price_changed",
            "in_progress",
            "idempotency_mismatch",
            "rate_limit_error",
        ),
        "purchases",
        USER,
        WITH_KEY,
        TopUpBody,
    ),
}
