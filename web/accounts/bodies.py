"""Bodies of what the owner of an account asks for."""

import re
from typing import Annotated

from pydantic import AfterValidator, StrictStr, WithJsonSchema

from web.schemas import AS_PRICE, Body, Cents, PlanId
from web.staff.bodies import Flag

CARD_ID = re.compile(r"pm_[A-Za-z0-9_]{1,252}")


def _card_id(value: str) -> str:
    if not CARD_ID.fullmatch(value):
        raise ValueError('must be the id of a payment method, such as "pm_1Q"')
    return value


AS_CARD_ID = {"type": "string", "pattern": f"^{CARD_ID.pattern}$"}
AS_CARD_ID_OR_NONE = {"anyOf": [AS_CARD_ID, {"type": "null"}]}
AS_PRICE_OR_NONE = {"description": AS_PRICE["description"], "anyOf": [*AS_PRICE["anyOf"], {"type": "null"}]}

CardId = Annotated[StrictStr, AfterValidator(_card_id), WithJsonSchema(AS_CARD_ID)]
MaybeCardId = Annotated[CardId | None, WithJsonSchema(AS_CARD_ID_OR_NONE)]


class CardBody(Body):
    """A payment method that a browser made; absent: a browser is to be able to make one."""

    payment_method_id: MaybeCardId = None


class CancelBody(Body):
    """At the end of the period that is paid, or at once."""

    at_period_end: Flag = True


class ChangePlanBody(Body):
    """What the next period is charged by."""

    plan_id: PlanId


class TopUpBody(Body):
    """A package, paid with a saved card: this one, or the default."""

    plan_id: PlanId
    payment_method_id: MaybeCardId = None
    expected_price_eur: Annotated[Cents | None, WithJsonSchema(AS_PRICE_OR_NONE)] = None
    """Held in cents, once it is read."""
