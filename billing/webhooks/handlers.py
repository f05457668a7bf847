"""Which event means what: a literal, so that it is also the list."""

from collections.abc import Callable, Mapping

from sqlmodel import Session

from billing.disputes.news import note_dispute, note_fraud_warning
from billing.purchases import news
from billing.purchases.news import Context
from billing.refunds.news import note_refunds
from billing.states import Outcome
from billing.subscriptions.news import note_card, note_customer, note_invoice, note_subscription
from billing.webhooks.events import StripeEvent

Handler = Callable[[Session, StripeEvent, Context], Outcome]

HANDLERS: Mapping[str, Handler] = {
    "payment_intent.succeeded": news.confirm_paid,
    "payment_intent.payment_failed": news.mark_failed,
    "payment_intent.canceled": news.mark_cancelled,
    "payment_intent.processing": news.mark_processing,
    "payment_intent.requires_action": news.note_action_required,
    "charge.refunded": note_refunds,
    "refund.created": note_refunds,
    "refund.updated": note_refunds,
    "refund.failed": note_refunds,
    "charge.dispute.created": note_dispute,
    "charge.dispute.updated": note_dispute,
    "charge.dispute.closed": note_dispute,
    "charge.dispute.funds_withdrawn": note_dispute,
    "charge.dispute.funds_reinstated": note_dispute,
    "radar.early_fraud_warning.created": note_fraud_warning,
    "customer.subscription.created": note_subscription,
    "customer.subscription.updated": note_subscription,
    "customer.subscription.deleted": note_subscription,
    "customer.subscription.paused": note_subscription,
    "customer.subscription.resumed": note_subscription,
    "invoice.paid": note_invoice,
    "invoice.payment_failed": note_invoice,
    "invoice.payment_action_required": note_invoice,
    "invoice.upcoming": note_invoice,
    "payment_method.attached": note_card,
    "payment_method.detached": note_card,
    "payment_method.automatically_updated": note_card,
    "customer.deleted": note_customer,
}


def handle(session: Session, event: StripeEvent | None, context: Context) -> Outcome:
    """What an event brings: its handler's outcome, or why it has none."""
    if event is None or event.type not in HANDLERS:
        return Outcome.UNHANDLED
    if event.livemode != context.deployment.livemode:
        return Outcome.WRONG_MODE
    return HANDLERS[event.type](session, event, context)
