"""Which request made something happen; events say so."""

from dataclasses import dataclass

import stripe

API_VERSION = str(stripe.api_version)


@dataclass(frozen=True)
class Origin:
    base_url: str = ""
    """Where the caller reaches the sandbox: the buyer's page for 3-D Secure is there too."""
    request_id: str | None = None
    idempotency_key: str | None = None
    api_version: str = API_VERSION


NOBODY = Origin()
"""Time passed, or a buyer acted outside the API: Stripe's events then name no request."""
