"""What is done at the sandbox so that Stripe tells of it: by the buyer, in the dashboard, or by a bank."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from billing.cli.sandbox import Sandbox

CLOSED = "charge.dispute.closed"
OPEN_DISPUTES = frozenset({"needs_response", "under_review"})
STANDING_REFUNDS = frozenset({"pending", "succeeded"})
PAGE = 100


class Outcome(StrEnum):
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Wish:
    """Of which payment intent which event is wanted; `amount` is in cents, all there is unless given."""

    event_type: str
    intent: str
    amount: int | None = None
    outcome: Outcome | None = None

    def is_met_by(self, event: Mapping[str, Any]) -> bool:
        """Whether it has happened already; a part of a payment can go back more than once."""
        ended = event["data"]["object"].get("status")
        return self.amount is None and (self.event_type != CLOSED or self.outcome in (None, ended))


Act = Callable[[Sandbox, Wish], Any]


def _confirm(payment_method: str) -> Act:
    def act(sandbox: Sandbox, wish: Wish) -> Any:
        return sandbox.act(f"/v1/payment_intents/{wish.intent}/confirm", payment_method=payment_method)

    return act


def _cancel(sandbox: Sandbox, wish: Wish) -> Any:
    return sandbox.act(f"/v1/payment_intents/{wish.intent}/cancel")


def _refund(sandbox: Sandbox, wish: Wish) -> Any:
    return sandbox.control("refunds", _terms(wish))


def _fail_refund(sandbox: Sandbox, wish: Wish) -> Any:
    """The newest that stands, or one that is made for it."""
    refund = _newest(sandbox, "/v1/refunds", wish, STANDING_REFUNDS) or _refund(sandbox, wish)
    return sandbox.control(f"refunds/{refund['id']}/fail", {})


def _dispute(sandbox: Sandbox, wish: Wish) -> Any:
    return sandbox.control("disputes", _terms(wish))


def _end_dispute(sandbox: Sandbox, wish: Wish) -> Any:
    """The one that is open, or one that is opened for it."""
    dispute = _newest(sandbox, "/v1/disputes", wish, OPEN_DISPUTES) or _dispute(sandbox, wish)
    return sandbox.control(f"disputes/{dispute['id']}/{wish.outcome or Outcome.LOST}", {})


def _win_dispute(sandbox: Sandbox, wish: Wish) -> Any:
    return _end_dispute(sandbox, Wish(wish.event_type, wish.intent, outcome=Outcome.WON))


def _warn(sandbox: Sandbox, wish: Wish) -> Any:
    return sandbox.control("fraud_warnings", _terms(wish))


def _terms(wish: Wish) -> dict[str, Any]:
    return {"payment_intent": wish.intent, **({"amount": wish.amount} if wish.amount else {})}


def _newest(sandbox: Sandbox, path: str, wish: Wish, statuses: frozenset[str]) -> Mapping[str, Any] | None:
    found = sandbox.get(path, payment_intent=wish.intent, limit=PAGE)["data"]
    return next((one for one in found if one["status"] in statuses), None)


ACTS: Mapping[str, Act | None] = {
    "payment_intent.succeeded": _confirm("pm_card_visa"),
    "payment_intent.payment_failed": _confirm("pm_card_chargeDeclined"),
    "payment_intent.processing": _confirm("pm_success_de"),
    "payment_intent.requires_action": _confirm("pm_card_authenticationRequired"),
    "payment_intent.canceled": _cancel,
    "charge.succeeded": _confirm("pm_card_visa"),
    "charge.failed": _confirm("pm_card_chargeDeclined"),
    "charge.pending": _confirm("pm_success_de"),
    "refund.created": _refund,
    "refund.failed": _fail_refund,
    "charge.refunded": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.funds_reinstated": _win_dispute,
    CLOSED: _end_dispute,
    "radar.early_fraud_warning.created": _warn,
    "payment_intent.created": None,
}
"""What Stripe tells of by an event of this type; None: it happened with the purchase."""
PARTIAL = frozenset({"refund.created", "charge.refunded", "charge.dispute.created"})
"""Of these a part of the payment can be meant."""
