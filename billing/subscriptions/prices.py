"""What a version of a plan is called at Stripe.

Names make it one: the product's id is that of the plan, the price's lookup key that of the version, and Stripe
refuses to have either twice. So a call that was lost is found again by its name, whoever made it.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from billing.gateway import InvalidRequestError
from billing.ids import named_id, stripe_key
from billing.models import PricingPlanVersion, StripePrice
from billing.purchases.desk import Desk
from billing.recurring import PriceThere, PriceWish

CREATE_PRODUCT = "product.create"
CREATE_PRICE = "price.create"
KEYS_CHANGE = timedelta(hours=1)
"""Stripe repeats a failure for as long as it knows the key, which is a day: with a new key every hour nobody waits
that long, and the names keep two keys from making two prices."""


def ensure_price(desk: Desk, plan_version_id: int) -> str:
    """The id of the version's recurring price, which is made now, with its product, where there is none.

    Call it in no transaction. However many ask at once, and whatever was lost between, it is one price. Raises
    GatewayError; InvalidRequestError where Stripe has a price of that name which asks for something else.
    """
    with desk.begin() as session:
        known = session.get(StripePrice, plan_version_id)
        version = session.get_one(PricingPlanVersion, plan_version_id)
    if known is not None:
        return known.stripe_price_id
    wish = _wish(desk.deployment.installation, version)
    price = desk.gateway.find_price(wish.lookup_key) or _made(desk, wish, version.name)
    if (price.amount_cents, price.currency) != (wish.amount_cents, wish.currency):
        raise InvalidRequestError(code="price_differs")
    with desk.begin() as session:
        return _kept(session, desk, plan_version_id, price)


def _wish(installation: UUID, version: PricingPlanVersion) -> PriceWish:
    return PriceWish(
        product_id=f"plan_{installation.hex}_{version.plan_id}",
        lookup_key=f"{installation}:{version.id}",
        amount_cents=version.price_cents,
        currency=version.currency,
    )


def _made(desk: Desk, wish: PriceWish, name: str) -> PriceThere:
    desk.gateway.ensure_product(wish.product_id, name, _key(desk, CREATE_PRODUCT, wish))
    try:
        return desk.gateway.create_price(wish, _key(desk, CREATE_PRICE, wish))
    except InvalidRequestError:
        found = desk.gateway.find_price(wish.lookup_key)  # somebody made it meanwhile, with another key
        if found is None:
            raise
        return found


def _key(desk: Desk, operation: str, wish: PriceWish) -> str:
    """Of the version also for the product, whose name differs from version to version."""
    installation = desk.deployment.installation
    hour = int(desk.now.timestamp() / KEYS_CHANGE.total_seconds())
    return stripe_key(installation, operation, named_id(installation, wish.lookup_key), hour)


def _kept(session: Session, desk: Desk, plan_version_id: int, price: PriceThere) -> str:
    """Two who keep the same price collide by the version's key and by the price's id, whichever is looked at first."""
    row = insert(StripePrice).values(
        plan_version_id=plan_version_id,
        stripe_product_id=price.product_id,
        stripe_price_id=price.id,
        made_at=desk.now,
    )
    session.execute(row.on_conflict_do_nothing())
    return session.get_one(StripePrice, plan_version_id).stripe_price_id
