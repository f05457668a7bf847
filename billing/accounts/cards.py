"""Saved cards: added through a setup intent, attached, made the default one, removed."""

from datetime import datetime

from sqlmodel import Session, col, select

from billing.accounts import fence
from billing.accounts.acts import Asked, Decision, Done, Facts, Line, Record, Refused
from billing.accounts.refusals import CardExpiredError, CardInUseError, CardNotFoundError
from billing.customers.ensure import ensure_customer
from billing.customers.found import keep_attached, keep_default, keep_detached, lock_customer
from billing.gateway import InvalidRequestError
from billing.ids import installation_mark
from billing.models import AccountAct, PaymentMethod, StripeCustomer
from billing.reads.cards import has_expired
from billing.recurring import CardThere, SubscriptionChange
from billing.states import ENDED_SUBSCRIPTIONS

NOT_FOUND = "There is no such card."
EXPIRED = "This card has expired."
IN_USE = "The subscription is charged by this card; save another one first."


def check_add(_asked: Asked) -> Facts:
    return {}


def ready_add(line: Line) -> Facts:
    """The mark is the customer's: whose cards they will be is what a setup intent is about."""
    customer_id = ensure_customer(line.desk, line.student_id)
    with line.desk.begin() as session:
        theirs = select(StripeCustomer.id).where(StripeCustomer.student_id == line.student_id)
        mark = installation_mark(line.desk.deployment.installation, session.exec(theirs).one())
    return {"customer_id": customer_id, "mark": mark}


def add(line: Line) -> Record:
    setup = line.gateway.create_setup_intent(line.facts["customer_id"], line.facts["mark"], line.key())
    secret = line.desk.vault.seal(setup.client_secret)
    return lambda _session, _act: Done({"setup_intent_id": setup.id}, secret)


def check_attach(asked: Asked) -> Facts:
    """A card that was never seen here may be attached. Raises CardNotFoundError or CardExpiredError."""
    card_id, charged_by = asked.wish["payment_method_id"], _charged_by(asked)
    lock_customer(asked.session, asked.student_id)
    known = _find(asked.session, card_id)
    if known is not None:
        _need_usable(asked, known)
    others = [card for card in _saved(asked) if card.stripe_payment_method_id != card_id]
    is_first = not any(not is_over(card, asked.now) for card in others)
    return {"card_id": card_id, "is_first": is_first, **(charged_by if is_first else {})}


def ready_attach(line: Line) -> Facts:
    return {"customer_id": ensure_customer(line.desk, line.student_id)}


def attach(line: Line) -> Record:
    """The expiry of a new card is known once it is attached; one that is over is detached again."""
    customer_id = line.facts["customer_id"]
    card = line.gateway.attach_card(line.facts["card_id"], customer_id, line.key())
    if is_over(card, line.now):
        _detach(line, card.id)
        return lambda _session, _act: Refused(CardExpiredError.error_type, EXPIRED)
    if line.facts["is_first"]:
        _make_default(line, card.id)
    return lambda session, _act: _keep_attached(session, line, card)


def check_default(asked: Asked) -> Facts:
    """Raises CardNotFoundError or CardExpiredError."""
    charged_by = _charged_by(asked)
    customer_id, card = _need_saved(asked)
    _need_usable(asked, card)
    return {"customer_id": customer_id, "card_id": card.stripe_payment_method_id, **charged_by}


def make_default(line: Line) -> Record:
    card_id = line.facts["card_id"]
    _make_default(line, card_id)

    def record(session: Session, _act: AccountAct) -> Decision:
        keep_default(session, line.student_id, card_id)
        return Done({"payment_method_id": card_id})

    return record


def check_remove(asked: Asked) -> Facts:
    """Where it is the default one, the next takes its place first. Raises CardNotFoundError or CardInUseError."""
    charged_by = _charged_by(asked)
    customer_id, card = _need_saved(asked)
    others = [one for one in _saved(asked) if one.id != card.id]
    if charged_by and not others:
        raise CardInUseError(IN_USE)
    facts = {"customer_id": customer_id, "card_id": card.stripe_payment_method_id}
    if not card.is_default or not others:
        return facts
    following = next((one for one in others if not is_over(one, asked.now)), others[0])
    return {**facts, "next_id": following.stripe_payment_method_id, **charged_by}


def remove(line: Line) -> Record:
    card_id, next_id = line.facts["card_id"], line.facts.get("next_id")
    if next_id is not None:
        _make_default(line, next_id)
    _detach(line, card_id)

    def record(session: Session, _act: AccountAct) -> Decision:
        keep_detached(session, line.student_id, card_id, at=line.now)
        if next_id is not None:
            keep_default(session, line.student_id, next_id)
        return Done({"payment_method_id": card_id})

    return record


def is_over(card: CardThere | PaymentMethod, now: datetime) -> bool:
    return has_expired(card.exp_year, card.exp_month, now=now)


def saved_default(session: Session, student_id: int) -> PaymentMethod | None:
    theirs = select(PaymentMethod).where(PaymentMethod.student_id == student_id, col(PaymentMethod.is_default))
    return session.exec(theirs.execution_options(populate_existing=True)).first()


def _keep_attached(session: Session, line: Line, card: CardThere) -> Decision:
    keep_attached(session, line.student_id, card)
    if line.facts["is_first"]:
        keep_default(session, line.student_id, card.id)
    return Done({"payment_method_id": card.id, "is_default": line.facts["is_first"]})


def _make_default(line: Line, card_id: str) -> None:
    """The customer's, and that of a live subscription, which may have one of its own; it may have ended meanwhile."""
    line.gateway.set_default_card(line.facts["customer_id"], card_id, line.key("default"))
    subscription_id = line.facts.get("subscription_id")
    if subscription_id is None:
        return
    try:
        change = SubscriptionChange(default_card_id=card_id)
        line.gateway.change_subscription(subscription_id, change, line.key("subscription"))
    except InvalidRequestError:
        if line.gateway.retrieve_subscription(subscription_id).status not in ENDED_SUBSCRIPTIONS:
            raise


def _detach(line: Line, card_id: str) -> None:
    """Where Stripe says that it cannot, the card may be gone already: an earlier answer was lost."""
    try:
        line.gateway.detach_card(card_id, line.key("detach"))
    except InvalidRequestError:
        if any(card.id == card_id for card in line.gateway.list_cards(line.facts["customer_id"])):
            raise


def _charged_by(asked: Asked) -> Facts:
    """The subscription is locked before the customer, as everybody does."""
    live = fence.lock_live(asked.session, asked.student_id)
    return {} if live is None else {"subscription_id": live.stripe_subscription_id}


def _need_saved(asked: Asked) -> tuple[str, PaymentMethod]:
    customer = lock_customer(asked.session, asked.student_id)
    card = _find(asked.session, asked.wish["payment_method_id"])
    if customer is None or customer.stripe_customer_id is None or card is None:
        raise CardNotFoundError(NOT_FOUND)
    if card.student_id != asked.student_id or card.detached_at is not None:
        raise CardNotFoundError(NOT_FOUND)
    return customer.stripe_customer_id, card


def _need_usable(asked: Asked, card: PaymentMethod) -> None:
    if card.student_id != asked.student_id or card.detached_at is not None:
        raise CardNotFoundError(NOT_FOUND)
    if is_over(card, asked.now):
        raise CardExpiredError(EXPIRED)


def _find(session: Session, card_id: str) -> PaymentMethod | None:
    known = select(PaymentMethod).where(PaymentMethod.stripe_payment_method_id == card_id)
    return session.exec(known.execution_options(populate_existing=True)).first()


def _saved(asked: Asked) -> list[PaymentMethod]:
    """The newest first."""
    theirs = select(PaymentMethod).where(
        PaymentMethod.student_id == asked.student_id, col(PaymentMethod.detached_at).is_(None)
    )
    newest = theirs.order_by(col(PaymentMethod.attached_at).desc(), col(PaymentMethod.stripe_payment_method_id))
    return list(asked.session.exec(newest.execution_options(populate_existing=True)))
