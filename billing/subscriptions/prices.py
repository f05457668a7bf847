"""What a version of a plan is called at Stripe."""

from billing.purchases.desk import Desk


def ensure_price(desk: Desk, plan_version_id: int) -> str:
    """The id of the version's recurring price, which is made now, with its product, where there is none.

    Call it in no transaction. However many ask at once, and whatever was lost between, it is one price. Raises
    GatewayError.
    """
    raise NotImplementedError
