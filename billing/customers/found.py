"""A customer's cards as Stripe has them, written down."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlmodel import Session, select

from billing.gateway import PaymentGateway
from billing.ids import new_id
from billing.models import StaleMark, StripeCustomer
from billing.purchases.news import Context
from billing.recurring import CardThere, CustomerThere

log = structlog.get_logger(__name__)

# A card that was detached is never attached again at Stripe; where a row says it was, it was asked too early.
KEEP = text("""
    INSERT INTO payment_method AS card (
        id, stripe_payment_method_id, student_id, brand, last4, exp_month, exp_year, is_default, attached_at
    )
    VALUES (:id, :card, :student, :brand, :last4, :exp_month, :exp_year, false, :attached_at)
    ON CONFLICT (stripe_payment_method_id) DO UPDATE
    SET student_id = excluded.student_id, brand = excluded.brand, last4 = excluded.last4,
        exp_month = excluded.exp_month, exp_year = excluded.exp_year, detached_at = NULL,
        is_default = card.is_default AND card.student_id = excluded.student_id
""")
DROP = text("""
    UPDATE payment_method SET detached_at = :at, is_default = false
    WHERE student_id = :student AND detached_at IS NULL AND stripe_payment_method_id <> ALL(CAST(:kept AS text[]))
""")
DROP_ONE = text("""
    UPDATE payment_method SET detached_at = :at, is_default = false
    WHERE student_id = :student AND detached_at IS NULL AND stripe_payment_method_id = :card
""")

# The old one first: there is never a moment with two of them.
CHOSEN = text("""
    SELECT stripe_payment_method_id FROM payment_method WHERE student_id = :student AND detached_at IS NULL
    ORDER BY stripe_payment_method_id = :wanted DESC NULLS LAST, is_default DESC, attached_at, stripe_payment_method_id
    LIMIT 1
""")
UNCHOOSE = text("""
    UPDATE payment_method SET is_default = false
    WHERE student_id = :student AND is_default AND stripe_payment_method_id <> :chosen
""")
CHOOSE = text("""
    UPDATE payment_method SET is_default = true WHERE student_id = :student AND stripe_payment_method_id = :chosen
""")


@dataclass(frozen=True, slots=True)
class CustomerFound:
    """All that is asked of Stripe when a customer may have changed; one that was deleted has no cards."""

    customer: CustomerThere
    cards: Sequence[CardThere]


def ask_customer(gateway: PaymentGateway, customer_id: str) -> CustomerFound:
    customer = gateway.retrieve_customer(customer_id)
    return CustomerFound(customer, () if customer.is_deleted else gateway.list_cards(customer_id))


def apply_customer(session: Session, mark: StaleMark, found: CustomerFound, context: Context) -> bool:
    """The student's saved cards become those that Stripe has. A customer of nobody here changes nothing; an answer
    that is older than a change of ours neither, for Stripe will be asked again."""
    theirs = select(StripeCustomer).where(StripeCustomer.stripe_customer_id == mark.object_id)
    ours = session.exec(theirs.with_for_update().execution_options(populate_existing=True)).first()
    if ours is None or _is_old(session, mark):
        return True
    if found.customer.is_deleted:
        _forget(session, ours, context.now)
        return True
    for card in found.cards:
        _keep(session, ours.student_id, card)
    _drop_others(session, ours.student_id, [card.id for card in found.cards], context.now)
    _choose(session, ours.student_id, found.customer.default_card_id)
    return True


def keep_attached(session: Session, student_id: int, card: CardThere) -> None:
    """A card that Stripe has just attached to the student's customer."""
    lock_customer(session, student_id)
    _keep(session, student_id, card)


def keep_default(session: Session, student_id: int, card_id: str) -> None:
    lock_customer(session, student_id)
    _choose(session, student_id, card_id)


def keep_detached(session: Session, student_id: int, card_id: str, *, at: datetime) -> None:
    lock_customer(session, student_id)
    session.execute(DROP_ONE, {"student": student_id, "card": card_id, "at": at})


def lock_customer(session: Session, student_id: int) -> StripeCustomer | None:
    """Whoever reads a student's cards to decide something, or writes them, does it under this lock."""
    theirs = select(StripeCustomer).where(StripeCustomer.student_id == student_id)
    return session.exec(theirs.with_for_update().execution_options(populate_existing=True)).first()


def _is_old(session: Session, mark: StaleMark) -> bool:
    marks = session.exec(select(StaleMark.marks).where(StaleMark.id == mark.id)).first()
    return marks is not None and marks != mark.marks


def _forget(session: Session, ours: StripeCustomer, at: datetime) -> None:
    """It was deleted at Stripe, with all its cards: whoever needs a customer next makes another one."""
    log.warning("customer_deleted_at_stripe", student=ours.student_id, customer=ours.stripe_customer_id)
    ours.id, ours.attempt, ours.prepared_at = new_id(), ours.attempt + 1, at
    ours.stripe_customer_id = ours.made_at = None
    _drop_others(session, ours.student_id, [], at)


def _keep(session: Session, student_id: int, card: CardThere) -> None:
    facts = {"id": new_id(), "card": card.id, "student": student_id, "brand": card.brand, "last4": card.last4}
    expiry = {"exp_month": card.exp_month, "exp_year": card.exp_year}
    session.execute(KEEP, {**facts, **expiry, "attached_at": card.created_at})


def _drop_others(session: Session, student_id: int, kept: Collection[str], at: datetime) -> None:
    session.execute(DROP, {"student": student_id, "kept": sorted(kept), "at": at})


def _choose(session: Session, student_id: int, wanted: str | None) -> None:
    """What Stripe charges by default; where it has no word for that, the card that was so far, or the first one."""
    chosen = session.execute(CHOSEN, {"student": student_id, "wanted": wanted}).scalar_one_or_none()
    if chosen is not None:
        session.execute(UNCHOOSE, {"student": student_id, "chosen": chosen})
        session.execute(CHOOSE, {"student": student_id, "chosen": chosen})
