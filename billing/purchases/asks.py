"""When a payment is asked about of which nothing was heard."""

from datetime import timedelta

from billing import work
from billing.models import Purchase
from billing.states import PAYABLE

DAY = timedelta(days=1)
ASKS = (timedelta(minutes=5), timedelta(hours=1), DAY, DAY, DAY, DAY, DAY)
"""How long after the one before each time to ask comes."""


def ask_later(purchase: Purchase) -> None:
    """Hand the row back until it is time to ask about its payment; it is closed where that was asked often enough."""
    if purchase.state in PAYABLE and purchase.asks < len(ASKS):
        work.rest(purchase, ASKS[purchase.asks])
    else:
        work.close(purchase)
