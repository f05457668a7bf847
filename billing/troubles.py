"""Open work whose call to Stripe failed: tried again later, or left to people."""

from datetime import timedelta

from billing import work
from billing.gateway import GatewayError, StripeCrowdedError
from billing.models import OpenWork


def put_off(row: OpenWork, error: GatewayError, wait: timedelta | None) -> None:
    """Due again after `wait`, None being for what Stripe will never answer otherwise.

    Who found no place under our own limits was not tried: it is no trouble of the row's, however often it happens.
    """
    reason = f"{error.error_type}: {error}"
    if isinstance(error, StripeCrowdedError) and wait is not None:
        work.hand_back(row, wait, reason)
    else:
        work.put_off_or_give_up(row, wait, reason)
