"""Paid periods become hours: each line of a paid invoice is a purchase with its lot, once.

Only the recurring price of a plan brings hours: no proration, and no invoice but that which begins a subscription or
goes on with it. What was paid must be what the plan costs; else nothing is credited, and a person has to look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlmodel import Session, col, select

from billing import cases, ledger
from billing.ids import new_id
from billing.models import HourLot, PricingPlanVersion, Purchase, StripePrice, Student, Subscription
from billing.purchases import completion, lifecycle
from billing.purchases.news import Context
from billing.purchases.waking import hear_again
from billing.reads.written import euros, instant, sum_told
from billing.receipts.ask import ask_for_receipts
from billing.recurring import InvoiceLine, InvoiceThere
from billing.states import PAYABLE, LotOrigin, PurchaseChannel, PurchaseState, Step
from billing.subscriptions.rollover import roll_over

log = structlog.get_logger(__name__)
CREATE, CYCLE = "subscription_create", "subscription_cycle"
"""Stripe, "The Invoice object", attribute `billing_reason`."""


@dataclass(frozen=True, slots=True)
class Period:
    """A paid line of a plan's price that is not credited yet."""

    invoice: InvoiceThere
    line: InvoiceLine
    version: PricingPlanVersion

    @property
    def is_first(self) -> bool:
        return self.invoice.billing_reason == CREATE

    @property
    def source(self) -> str:
        return _source(self.invoice, self.line)

    def paid_at(self, now: datetime) -> datetime:
        """Stripe's word for it, but never after now: clocks differ."""
        return min(self.invoice.paid_at or self.invoice.created_at, now)


def credit_paid(
    session: Session,
    row: Subscription,
    first: Purchase | None,
    invoices: Sequence[InvoiceThere],
    context: Context,
    *,
    request_id: str,
) -> None:
    """Credit what the invoices of a locked subscription have paid, the oldest first; its first purchase is locked."""
    for period in _periods(session, invoices):
        difference = _difference_of(period, context) or _difference_here(session, first, period)
        if difference is not None:
            _open_case(session, period, first, difference, context)
            continue
        if period.is_first and first is not None:
            purchase = _complete(session, first, period, context)
        else:
            purchase = _renew(session, row, first, period, context, request_id=request_id)
            cap = period.version.rollover_minutes
            roll_over(session, row, cap, period.line, source=period.source, at=context.now)
        _credit(session, purchase, period, context)


def _periods(session: Session, invoices: Sequence[InvoiceThere]) -> Sequence[Period]:
    paid = [one for one in invoices if one.status == "paid" and one.billing_reason in (CREATE, CYCLE)]
    lines = [(invoice, line) for invoice in paid for line in invoice.lines if not line.is_proration]
    if not lines:
        return []
    versions = _versions(session, [line.price_id for _, line in lines if line.price_id])
    credited = _credited(session, [_source(invoice, line) for invoice, line in lines])
    ours = [
        Period(invoice, line, version)
        for invoice, line in lines
        if (version := versions.get(line.price_id or "")) and _source(invoice, line) not in credited
    ]
    return sorted(ours, key=lambda one: (one.line.period_start, one.invoice.created_at, one.line.id))


def _versions(session: Session, prices: Sequence[str]) -> Mapping[str, PricingPlanVersion]:
    statement = select(StripePrice.stripe_price_id, PricingPlanVersion).join(PricingPlanVersion)
    return dict(session.exec(statement.where(col(StripePrice.stripe_price_id).in_(prices))).all())


def _credited(session: Session, sources: Sequence[str]) -> set[str]:
    return set(session.exec(select(HourLot.source).where(col(HourLot.source).in_(sources))))


def _source(invoice: InvoiceThere, line: InvoiceLine) -> str:
    return f"invoice:{invoice.id}:line:{line.id}"


def _difference_of(period: Period, context: Context) -> str | None:
    """Where what was paid is not what the plan costs, in words; None where they agree."""
    invoice, line, version = period.invoice, period.line, period.version
    paid = (line.amount_cents, invoice.currency, invoice.livemode)
    asked = (version.price_cents, version.currency, context.deployment.livemode)
    if (paid, line.quantity) != (asked, 1):
        paid_told, asked_told = (sum_told(cents, unit, livemode=live) for cents, unit, live in (paid, asked))
        return f"{line.quantity} for {paid_told}, sold as 1 for {asked_told}"
    if invoice.paid_cents < line.amount_cents:
        return f"paid {euros(invoice.paid_cents)} of {euros(line.amount_cents)}"
    if line.period_end <= line.period_start:
        return "its period has no length"
    return None


def _difference_here(session: Session, first: Purchase | None, period: Period) -> str | None:
    """Where what was paid does not fit what we know of it, in words."""
    credited = select(HourLot.id).join(Purchase).where(Purchase.stripe_invoice_id == period.invoice.id)
    if session.exec(credited).first() is not None:
        return "another line of this invoice was credited"
    if not period.is_first:
        return None
    if first is None or first.plan_version_id != period.version.id:
        return "the purchase that began it is not of this plan"
    if first.state is PurchaseState.COMPLETED or lifecycle.can_move(first.state, PurchaseState.COMPLETED):
        return None
    return f"the purchase that began it is {first.state}"


def _complete(session: Session, first: Purchase, period: Period, context: Context) -> Purchase:
    """The first purchase with its invoice; it is completed here where no event has said yet that it was paid."""
    invoice = period.invoice
    first.stripe_invoice_id = invoice.id
    first.payment_intent_id = invoice.payment_intent_id or first.payment_intent_id
    if first.state is PurchaseState.COMPLETED:
        return first
    if first.state not in PAYABLE:
        detail = f"it was {first.state} here"
        cases.open_case(session, "paid_after_end", invoice.id, purchase_id=first.id, detail=detail, at=context.now)
    completion.complete_one(
        session,
        first,
        context.deployment,
        paid_at=invoice.paid_at or invoice.created_at,
        cause=invoice.id,
        now=context.now,
    )
    return first


def _renew(
    session: Session, row: Subscription, first: Purchase | None, period: Period, context: Context, *, request_id: str
) -> Purchase:
    """A later period is a purchase of its own, of whoever made the first one."""
    purchase = _renewal(session, row, period, context, request_id=request_id)
    if first is not None:
        purchase.caller_sub, purchase.caller_email = first.caller_sub, first.caller_email
        purchase.caller_email_verified = first.caller_email_verified
    session.add(purchase)
    session.flush()
    lifecycle.note_step(session, purchase, Step.PAID, cause=period.invoice.id, at=period.paid_at(context.now))
    ask_for_receipts(session, [purchase.id], now=context.now)
    hear_again(session, purchase)
    log.info("subscription_renewed", purchase_id=str(purchase.id), invoice_id=period.invoice.id)
    return purchase


def _renewal(session: Session, row: Subscription, period: Period, context: Context, *, request_id: str) -> Purchase:
    """Accepting writes no transition: the row itself is the first step of its timeline."""
    version, invoice = period.version, period.invoice
    student, paid_at = session.get_one(Student, row.student_id), period.paid_at(context.now)
    accepted_at = min(invoice.created_at, paid_at)
    return Purchase(
        id=new_id(),
        channel=PurchaseChannel.RENEWAL,
        scope=f"subscription:{row.id}",
        request_id=request_id,
        buyer_name=student.name,
        buyer_email=student.email,
        student_id=row.student_id,
        plan_version_id=version.id or 0,
        plan_type=version.plan_type,
        price_cents=period.line.amount_cents,
        currency=invoice.currency,
        minutes=version.minutes,
        validity_days=version.validity_days,
        state=PurchaseState.COMPLETED,
        payment_intent_id=invoice.payment_intent_id,
        subscription_id=row.id,
        stripe_invoice_id=invoice.id,
        accepted_at=accepted_at,
        give_up_at=accepted_at,
        paid_at=paid_at,
    )


def _credit(session: Session, purchase: Purchase, period: Period, context: Context) -> None:
    session.flush()
    credit = ledger.Credit(
        student_id=purchase.student_id or 0,
        origin=LotOrigin.INVOICE,
        source=period.source,
        purchase_id=purchase.id,
        minutes=period.version.minutes,
        value_cents=period.line.amount_cents,
        currency=period.invoice.currency,
        starts_at=period.line.period_start,
        expires_at=period.line.period_end,
        at=context.now,
    )
    ledger.credit(session, [credit])
    if period.line.period_end <= period.paid_at(context.now):
        detail = f"its period ended at {instant(period.line.period_end)}: its hours cannot be spent any more"
        cases.open_case(
            session, "paid_after_period", period.invoice.id, purchase_id=purchase.id, detail=detail, at=context.now
        )
    lifecycle.note_step(session, purchase, Step.CREDITED, cause=period.invoice.id, at=context.now)


def _open_case(session: Session, period: Period, first: Purchase | None, detail: str, context: Context) -> None:
    source = period.source.removeprefix("invoice:")
    purchase_id = first.id if first else None
    cases.open_case(session, "invoice_differs", source, purchase_id=purchase_id, detail=detail, at=context.now)
